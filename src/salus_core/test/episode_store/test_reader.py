# SPDX-License-Identifier: Apache-2.0
import contextlib
import dataclasses
import json

import numpy as np
import pytest

from salus_core.actions import TOOL_MOTION
from salus_core.episode_store import EpisodeWriter, NotARunError, open_dataset, open_run
from salus_core.episode_store.testing import make_row, write_episode
from salus_core.failures import BUILT_IN, FailureType, Outcome


@pytest.fixture
def run(tmp_path, schema):
    writer = EpisodeWriter(tmp_path / "runs", schema, env="a", fsync=False)
    write_episode(writer, 0, 12)
    write_episode(writer, 1, 20, Outcome.FAILED)
    writer.close()
    return open_run(writer.path)


def test_episode_gives_its_own_rows(run, schema):
    episode = run[1]
    assert (episode.start, episode.stop, len(episode)) == (12, 32, 20)
    want = make_row(schema, 1, 7)
    np.testing.assert_array_equal(episode["command"][7], want["command"])
    arrays = episode.read(("signals", "embedding"))
    np.testing.assert_array_equal(arrays["signals"][7], want["signals"])
    assert set(episode.read()) == set(run.step_keys)
    assert all(len(array) == 20 for array in episode.read().values())
    np.testing.assert_array_equal(run.column("command")[12:], episode["command"])


def test_episode_knows_how_it_ended(run):
    episode = run[-1]
    assert (episode.outcome, episode.failure) == (Outcome.FAILED, FailureType.DROP)
    assert (episode.onset_step, episode.seed) == (18, 2**63 + 1)
    assert episode.faults[0].kind == "arm_force"
    assert episode.faults[0].magnitude == 12.5
    labels = episode.labels()
    assert np.flatnonzero(labels.y[:, 0, 1]).tolist() == list(range(12, 18))
    assert run[0].onset_step == -1


@pytest.mark.parametrize(
    "steps", [3, -1, slice(None), slice(2, 9, 3), slice(None, None, -1), slice(5, 5)]
)
def test_images_of_chosen_steps(run, schema, steps):
    want = np.array([make_row(schema, 1, step)["image/wrist"] for step in range(20)])
    np.testing.assert_array_equal(run[1].images("wrist", steps), want[steps])


def test_loaded_arrays_are_the_same_and_do_not_touch_the_disk(run):
    before = run[1].read()
    run.load()
    for array in (run.path / "data.zarr" / "data").glob("*/c"):
        array.rename(array.with_name("gone"))
    for key, values in run[1].read().items():
        np.testing.assert_array_equal(values, before[key])


def test_unknown_key_and_index_are_refused(run):
    with pytest.raises(KeyError, match=r"no data/comand; it has .*command.*image/front"):
        run[0]["comand"]
    with pytest.raises(IndexError):
        run[2]


def test_dataset_of_runs_folders_and_patterns(run, tmp_path, schema):
    writer = EpisodeWriter(tmp_path / "more", schema, env="b", fsync=False)
    write_episode(writer, 5, 4)  # still open
    dataset = open_dataset([run.path, str(tmp_path / "mo*")])
    assert [episode.number for episode in dataset] == [0, 1, 5]
    (tmp_path / "COLCON_IGNORE").touch()  # as `dataset` leaves it
    assert len(open_dataset(tmp_path / "*")) == 3
    assert len(open_dataset([run.path, run.path])) == 2  # named twice, counted once
    assert dataset[-1].run.path == writer.path
    assert dataset.column("action").shape == (36, 7)


def test_runs_of_other_signals_are_not_mixed(run, tmp_path, schema):
    other = dataclasses.replace(schema, schema_hash="22")
    writer = EpisodeWriter(tmp_path / "runs", other, env="b", fsync=False)
    write_episode(writer, 0, 4)
    with pytest.raises(ValueError, match=r"cannot be one data set: schema_hash is '11' and '22'"):
        open_dataset(tmp_path / "runs")
    assert len(open_dataset(tmp_path / "runs", same_schema=False)) == 3


def test_what_is_no_run_is_named(run, tmp_path):
    with pytest.raises(NotARunError, match="does not exist"):
        open_run(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotARunError, match=r"empty is not a SALUS run: it has no data\.zarr"):
        open_run(tmp_path / "empty")
    with pytest.raises(NotARunError, match="matches nothing"):
        open_dataset(tmp_path / "no*such")
    with pytest.raises(NotARunError, match="empty is no SALUS run and holds none"):
        open_dataset(tmp_path / "empty")
    with pytest.raises(NotARunError, match="no path"):
        open_dataset([])
    with rewritten(run) as attributes:
        attributes["salus_schema_version"] = 99
    with pytest.raises(NotARunError, match="schema version 99, this program reads versions 2, 3"):
        open_run(run.path)
    (run.path / "data.zarr" / "zarr.json").write_text("{")
    with pytest.raises(NotARunError, match="not Zarr 3"):
        open_run(run.path)


def test_run_without_a_commit_is_empty(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema, fsync=False)
    run = open_run(writer.path)
    assert (len(run), run.steps, list(run)) == (0, 0, [])
    assert run.column("state").shape == (0, 25)


@contextlib.contextmanager
def rewritten(run):
    """Change the attributes of a run, as a version without checksums may have written them."""
    metadata = json.loads((run.path / "metadata.json").read_text())
    metadata.pop("checksums", None)
    (run.path / "metadata.json").write_text(json.dumps(metadata))
    (run.path / "checksums.txt").unlink(missing_ok=True)
    document = run.path / "data.zarr" / "zarr.json"
    content = json.loads(document.read_text())
    yield content["attributes"]
    document.write_text(json.dumps(content))


def as_version_2(run):
    """Rewrite a run's attributes as version 2 wrote them: no kinds, 'miss' for missed_grasp."""
    with rewritten(run) as attributes:
        to_version_2(attributes)


def to_version_2(attributes):
    attributes["salus_schema_version"] = 2
    attributes["failure_names"] = ["collision", "drop", "miss", "timeout"]
    for name in ("failure_descriptions", "action_kinds"):
        del attributes[name]
    for name in [name for name in attributes if name.startswith("policy_action_")]:
        del attributes[name]


def test_a_run_of_version_2_is_read_as_tool_motion_with_the_present_names(run):
    as_version_2(run)
    found = open_run(run.path)
    assert found.action == TOOL_MOTION
    assert found.policy_action is None
    assert found.taxonomy == BUILT_IN
    assert found[1].failure_name == "drop"
    np.testing.assert_array_equal(found[1]["action"], run[1]["action"])


def test_a_run_is_counted_once_however_its_path_is_spelled(run, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(run.path)
    detour = tmp_path / "runs" / ".." / "runs" / run.path.name
    dataset = open_dataset([link, run.path, detour])
    assert len(dataset) == 2
    assert dataset.runs[0].real_path == run.path.resolve()


def test_attributes_that_contradict_themselves_are_refused(run):
    with rewritten(run) as attributes:
        attributes["action_units"] = ["m"]
    with pytest.raises(NotARunError, match="1 action units are given for 7 action names"):
        open_run(run.path)
