# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import os
import warnings

import numpy as np
import pytest
import zarr

from salus_core.actions import ActionSpec
from salus_core.episode_store import (
    EpisodeEnd,
    EpisodeStart,
    EpisodeWriter,
    SchemaError,
    StoreWriteError,
    open_run,
)
from salus_core.episode_store.testing import assert_episodes, make_row, write_episode
from salus_core.failures import FailureType, Outcome, TaxonomyError


def open_plain(writer) -> zarr.Group:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a reader is not told that the format is unstable
        return zarr.open_group(writer.path / "data.zarr", mode="r")


def test_plain_zarr_reads_what_was_written(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema, env="env0", fsync=False)
    lengths = [70, 3, 300]  # across inner chunks, within one, across image shards
    for number, length in enumerate(lengths):
        write_episode(writer, number, length, Outcome.FAILED)
    group = open_plain(writer)
    assert_episodes(group, schema, lengths)
    assert group["data/action"].shape == (373, 7)
    assert group["meta/episode/seed"][1] == 2**63 + 1
    assert group["meta/episode/instruction"][:][2] == "take cube 2 ü"
    assert json.loads(group["meta/episode/faults"][:][0])[0] == {
        "kind": "arm_force",
        "magnitude": 12.5,
        "unit": "N",
        "onset_step": 3,
        "duration_steps": 2,
    }
    assert group.attrs["signal_names"] == ["first", "second"]
    assert group.attrs["object_names"] == ["red_cube", "obstacle"]
    assert group["data/state"].attrs["names"][0] == "position.joint1"


def test_a_robot_without_known_objects_is_recorded_without_their_poses(tmp_path, schema):
    bare = dataclasses.replace(schema, object_names=())
    writer = EpisodeWriter(tmp_path, bare, fsync=False)
    writer.begin_episode(EpisodeStart(number=1))
    for step in range(5):
        row = make_row(schema, 1, step)
        del row["object_pose"]
        writer.append(row)
    writer.commit(EpisodeEnd(length=5, outcome=Outcome.SUCCEEDED))
    writer.close()
    group = open_plain(writer)
    assert "object_pose" not in group["data"]
    assert group["data/action"].shape == (5, 7)


def test_run_folder_holds_what_the_layout_says(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema, env="env0", metadata={"commit": "abc"})
    write_episode(writer, 0, 4)
    writer.close()
    assert writer.path.parent == tmp_path
    assert writer.path.name.endswith("-env0")
    assert {entry.name for entry in writer.path.iterdir()} == {
        ".lock",
        "COLCON_IGNORE",
        "checksums.txt",
        "data.zarr",
        "metadata.json",
        "recorder.log",
    }
    metadata = json.loads((writer.path / "metadata.json").read_text())
    assert (metadata["state"], metadata["episodes"], metadata["steps"]) == ("closed", 1, 4)
    assert metadata["commit"] == "abc"
    assert "episode 0 committed: succeeded" in (writer.path / "recorder.log").read_text()


def test_two_runs_in_one_second_have_two_folders(tmp_path, schema):
    first = EpisodeWriter(tmp_path, schema, fsync=False)
    second = EpisodeWriter(tmp_path, schema, fsync=False)
    assert first.path != second.path


def test_a_run_has_few_files(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema, fsync=False)
    for number in range(20):
        write_episode(writer, number, 30)
    files = [path for path in writer.path.rglob("*") if path.is_file()]
    assert len(files) < 110
    assert writer.bytes == pytest.approx(
        sum(path.stat().st_size for path in (writer.path / "data.zarr").rglob("*")), rel=0.5
    )


def test_left_out_steps_become_counted_gaps(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema, fsync=False)
    writer.begin_episode(EpisodeStart(number=0))
    writer.append(make_row(schema, 0, 0))
    writer.append(make_row(schema, 0, 3))
    writer.append({"step": 4, "complete": False, "timestamp": 7.0})
    gaps = writer.commit(EpisodeEnd(length=6, outcome=Outcome.ABORTED))
    assert gaps == 4
    episode = open_run(writer.path)[0]
    assert episode.gaps == 4
    assert episode["complete"].tolist() == [True, False, False, True, False, False]
    assert episode["step"].tolist() == list(range(6))
    assert np.isnan(episode["command"][1]).all()
    assert np.isnan(episode["timestamp"][5])
    assert episode["forecast_status"][1] == 255
    assert not episode.images("front")[1].any()
    np.testing.assert_array_equal(episode["command"][3], make_row(schema, 0, 3)["command"])


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 255, 256, 257, 299, 600])
def test_rows_after_the_end_are_cut(tmp_path, schema, length):
    """The end becomes known after later rows, even whole shards, were written."""
    writer = EpisodeWriter(tmp_path, schema, fsync=False)
    write_episode(writer, 0, 2)
    writer.begin_episode(EpisodeStart(number=1))
    for step in range(600):
        writer.append(make_row(schema, 1, step))
    writer.commit(EpisodeEnd(length=length, outcome=Outcome.SUCCEEDED))
    write_episode(writer, 2, 5)
    assert_episodes(open_plain(writer), schema, [2, length, 5])


@pytest.mark.parametrize("length", [3, 100, 300])
def test_a_discarded_episode_leaves_nothing(tmp_path, schema, length):
    sizes = []
    for root, discarded in ((tmp_path / "with", length), (tmp_path / "without", 0)):
        writer = EpisodeWriter(root, schema, fsync=False)
        write_episode(writer, 0, 10)
        writer.begin_episode(EpisodeStart(number=7))
        for step in range(discarded):
            writer.append(make_row(schema, 7, step))
        writer.discard("paused")
        write_episode(writer, 1, 10)
        assert_episodes(open_plain(writer), schema, [10, 10])
        sizes.append(writer.bytes)
        log = (writer.path / "recorder.log").read_text()
        assert f"episode 7 discarded after {discarded} steps: paused" in log
    assert sizes[0] == pytest.approx(sizes[1], abs=16)  # the time of the start compresses


def test_intervened_only_if_an_action_was_changed(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema, fsync=False)
    for number, kind in enumerate((0, 2, 255)):
        writer.begin_episode(EpisodeStart(number=number))
        writer.append(make_row(schema, 0, 0))
        writer.append({**make_row(schema, 0, 1), "intervention": kind})
        writer.commit(EpisodeEnd(length=2, outcome=Outcome.SUCCEEDED))
    assert [episode.intervened for episode in open_run(writer.path)] == [False, True, False]


def test_wrong_rows_are_refused_and_leave_no_trace(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema, fsync=False)
    row = make_row(schema, 0, 0)
    with pytest.raises(RuntimeError, match="no episode"):
        writer.append(row)
    writer.begin_episode(EpisodeStart(number=0))
    with pytest.raises(RuntimeError, match="episode 0 is still in progress"):
        writer.begin_episode(EpisodeStart(number=1))
    with pytest.raises(ValueError, match=r"data/command: a row has shape \(7,\), got \(6,\)"):
        writer.append({**row, "command": np.zeros(6)})
    with pytest.raises(ValueError, match="unknown keys: comand"):
        writer.append({**row, "comand": np.zeros(7)})
    writer.append(row)
    with pytest.raises(ValueError, match="step 0 comes after step 0"):
        writer.append(row)
    writer.commit(EpisodeEnd(length=1, outcome=Outcome.SUCCEEDED))
    assert_episodes(open_plain(writer), schema, [1])


@pytest.mark.parametrize(
    "end",
    [
        {"outcome": Outcome.RUNNING},
        {"outcome": Outcome.FAILED},
        {"outcome": Outcome.FAILED, "failure": FailureType.DROP},
        {"outcome": Outcome.FAILED, "failure": FailureType.DROP, "onset_step": 11},
        {"outcome": Outcome.SUCCEEDED, "failure": FailureType.DROP, "onset_step": 3},
        {"outcome": Outcome.SUCCEEDED, "onset_step": 3},
    ],
)
def test_contradicting_ends_are_refused(end):
    with pytest.raises(SchemaError):
        EpisodeEnd(length=10, **end)


def test_schema_needs_a_definition_per_signal(schema):
    with pytest.raises(SchemaError, match="signal_units has 1 entries for 2"):
        dataclasses.replace(schema, signal_units=("1",))


def test_too_little_space_is_said_before_the_episode(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema, min_free_bytes=10**18)
    with pytest.raises(StoreWriteError, match=r"No space left.*min_free_bytes asks for.*free some"):
        writer.begin_episode(EpisodeStart(number=0))


def test_unwritable_root_names_the_folder_and_the_remedy(tmp_path, schema):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreWriteError, match=r"cannot write .*file.*another output folder"):
        EpisodeWriter(tmp_path / "file", schema)
    if os.geteuid() != 0:  # root may write anywhere
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        with pytest.raises(StoreWriteError, match="make the folder writable"):
            EpisodeWriter(locked, schema)


def test_the_policys_own_numbers_are_kept_beside_the_action(tmp_path, schema):
    own = ActionSpec.of(("token", "grip"), ("1", "1"), ("joint_position", "gripper"))
    writer = EpisodeWriter(tmp_path, dataclasses.replace(schema, policy_action=own))
    writer.begin_episode(EpisodeStart(number=1))
    writer.append({"step": 0, "complete": True, "policy_action": [0.25, 1.0]})
    writer.commit(EpisodeEnd(length=1, outcome=Outcome.SUCCEEDED))
    run = open_run(writer.path)
    assert run.policy_action == own
    assert run[0]["policy_action"].tolist() == [[0.25, 1.0]]


def test_an_action_of_another_length_is_refused_with_both_lengths(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema)
    writer.begin_episode(EpisodeStart(number=1))
    with pytest.raises(ValueError, match=r"data/action: a row has shape \(7,\), got \(6,\)"):
        writer.append({"step": 0, "complete": True, "action": np.zeros(6)})


def test_a_failure_type_that_the_run_does_not_know_is_refused(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema)
    writer.begin_episode(EpisodeStart(number=1))
    writer.append({"step": 0, "complete": True})
    with pytest.raises(TaxonomyError, match="failure type 5 does not exist: the types are 1 to 4"):
        writer.commit(EpisodeEnd(length=1, outcome=Outcome.FAILED, failure=5, onset_step=1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"chunk_shape": (2, 4, 6)}, "6 action dimensions, but there are 7 action names"),
        ({"chunk_shape": (100, 100, 7)}, "more than 65536 numbers"),
        ({"embedding_size": 20_000}, "embedding_size must be 0 to 16384, got 20000"),
        ({"horizons": (0.5, 0.2)}, "horizons must be ascending"),
        ({"horizons": ()}, "horizons: 0 are given"),
    ],
)
def test_a_shape_out_of_bounds_is_refused_by_name(schema, change, said):
    with pytest.raises(SchemaError, match=said):
        dataclasses.replace(schema, **change)
