# SPDX-License-Identifier: Apache-2.0
"""The command dataset: its splits, what it refuses, how it is resumed."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from salus_core.episode_store import EpisodeWriter, open_dataset
from salus_core.episode_store.testing import make_schema, write_episode
from salus_sim.scene import scene_hash
from salus_studies.collection import dataset
from salus_studies.collection.settings import DatasetError, Settings, load_splits

OTHERS = (range(0, 100_000), range(1_000_000, 4_000_000))
"""Seeds of collect, and of the policy's training."""


def collect(output, episodes, *more):
    arguments = ["--episodes", str(episodes), "--difficulty", "easy", "--tasks", "push"]
    return dataset.main([*arguments, "--output", str(output), *more])


def seeds_in(output):
    return sorted(episode.seed for episode in open_dataset(output))


def test_no_seed_is_in_two_splits_nor_used_by_other_commands():
    splits = load_splits()
    assert set(splits) == {"train", "validation", "calibration", "test", "heldout_fault"}
    taken = sorted([split.seeds for split in splits.values()] + list(OTHERS), key=min)
    assert all(one.stop <= other.start for one, other in itertools.pairwise(taken))


def test_what_is_held_out_occurs_in_no_other_split():
    splits = load_splits()
    fault = splits.pop("heldout_fault")
    scene = dataset.load_scene()
    for split in splits.values():
        assert fault.profile not in scene.profile(split.profile)
    assert scene.profile(fault.profile) == {fault.profile: 1.0}


def test_training_has_more_slips_and_else_what_is_tested():
    splits, scene = load_splits(), dataset.load_scene()
    taught = scene.profile(splits["train"].profile)
    for name in ("validation", "calibration", "test"):
        tested = scene.profile(splits[name].profile)
        more = tested | {"object_slip": 3 * tested["object_slip"]}
        assert taught == pytest.approx(more)
        assert splits[name].tasks == splits["train"].tasks == ()


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("a: {first_seed: 1, profile: mixed}", "lacks 'difficulty'"),
        ("a: {first_seed: 1, profile: mixed, difficulty: easy, task: [push]}", "key 'task'"),
        ("a: {first_seed: 1, profile: mixed, difficulty: easy, tasks: push}", "must be a list"),
        (
            "a: {first_seed: 1, profile: mixed, difficulty: easy}\n"
            "  b: {first_seed: 9, profile: mixed, difficulty: easy}",
            "share seeds",
        ),
    ],
)
def test_a_bad_split_is_refused_by_name(tmp_path, entry, problem):
    path = tmp_path / "dataset.yaml"
    path.write_text(f"seeds_per_split: 10\nsplits:\n  {entry}\n")
    with pytest.raises(DatasetError, match=problem):
        load_splits(path)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--split", "tset"), "there is no split 'tset': use one of train"),
        (("--split", "test", "--seed", "3"), "--seed contradicts --split"),
        (("--split", "test", "--episodes", "100001"), "has 100000 seeds, not 100001"),
        (("--profile", "typhoon"), "unknown fault profile 'typhoon'"),
        (("--difficulty", "trivial"), "unknown difficulty 'trivial'"),
        (("--tasks", "juggle"), "unknown task 'juggle'"),
        (("--workers", "0"), "--workers must be at least 1"),
        (("--episodes", "0"), "--episodes must be at least 1"),
        (("--output", "/proc/nothing"), "/proc/nothing"),
    ],
)
def test_what_cannot_be_collected_is_said_at_once(tmp_path, capsys, arguments, problem):
    given = ["--episodes", "2", "--output", str(tmp_path), *arguments]
    assert dataset.main(given) == 1
    assert problem in capsys.readouterr().err


def test_a_folder_of_other_runs_is_left_alone(tmp_path, capsys):
    EpisodeWriter(tmp_path, make_schema()).close()
    before = sorted(tmp_path.rglob("*"))
    assert collect(tmp_path, 1) == 1
    assert "was not collected by this command" in capsys.readouterr().err
    assert set(tmp_path.rglob("*")) - set(before) <= {
        tmp_path / ".dataset.lock",
        tmp_path / "COLCON_IGNORE",
    }


def test_a_run_that_never_got_its_arrays_blocks_nothing(tmp_path):
    writer = EpisodeWriter(tmp_path, make_schema())
    shutil.rmtree(writer.path / "data.zarr")
    writer._lock.release()  # what the kernel does when the process dies
    for _ in range(2):
        assert dataset.committed(tmp_path, Settings(), dataset.Tally()) == (set(), {})


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    output = tmp_path_factory.mktemp("dataset")
    assert collect(output, 2, "--workers", "2") == 0
    return output


@pytest.mark.ros
def test_each_worker_writes_a_run_of_its_own(collected):
    runs = open_dataset(collected).runs
    assert sorted([episode.seed for episode in run] for run in runs) == [[0], [1]]
    for run in runs:
        assert run.metadata["state"] == "closed"
        assert run.metadata["dataset"]["tasks"] == ["push"]
        for episode in run:
            assert (episode.task, episode.difficulty, episode.gaps) == ("push", "easy", 0)


@pytest.mark.ros
def test_a_second_call_collects_only_what_is_missing(collected, capsys):
    before = {path: path.stat().st_mtime_ns for path in collected.glob("*/metadata.json")}
    assert collect(collected, 3, "--workers", "2") == 0
    text = capsys.readouterr().out
    assert "2 of 3 episodes are there already" in text
    assert seeds_in(collected) == [0, 1, 2]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    (total,) = [line for line in text.splitlines() if line.startswith("all ")]
    assert total.split()[1] == "3"  # the table is of the whole data set
    assert collect(collected, 3) == 0
    assert len(list(collected.glob("*/metadata.json"))) == 3


@pytest.mark.ros
def test_other_settings_are_refused_in_the_same_folder(collected, capsys):
    assert collect(collected, 3, "--profile", "none") == 1
    assert "was collected with profile 'mixed', not 'none'" in capsys.readouterr().err


@pytest.mark.ros
def test_another_scene_or_other_signals_are_refused_in_the_same_folder(
    collected, capsys, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "scene_hash", lambda: "another")
        assert collect(collected, 4) == 1
    assert f"was collected with scene_hash '{scene_hash()}', not 'another'" in (
        capsys.readouterr().err
    )
    settings, _ = dataset.settings_of(
        dataset.parse(["--episodes", "4", "--difficulty", "easy", "--tasks", "push"])
    )
    done, hashes = dataset.committed(collected, settings, dataset.Tally())
    assert {0, 1} <= done
    other = {**hashes, "schema_hash": "another"}
    (error,) = dataset.collect(settings, [3], collected, 1, other, dataset.Tally())
    assert "holds episodes of other signals (schema_hash another, these: " in error


def test_runs_of_different_signals_are_no_data_set(tmp_path):
    settings = Settings()
    for schema_hash in ("11", "22"):
        schema = replace(make_schema(), schema_hash=schema_hash)
        writer = EpisodeWriter(
            tmp_path, schema, env=schema_hash, metadata={"dataset": settings.comparable}
        )
        write_episode(writer, 0, 3)
        writer.close()
    with pytest.raises(DatasetError, match="runs of different signals: choose another --output"):
        dataset.committed(tmp_path, settings, dataset.Tally())


@pytest.mark.ros
def test_a_machine_that_cannot_draw_is_an_error_and_not_a_refused_seed(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("MUJOCO_GL", "egl")  # the workers are processes of their own
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_FILENAMES", str(tmp_path / "no_driver.json"))
    assert collect(tmp_path / "data", 2, "--workers", "1") == 1
    printed = capsys.readouterr()
    assert "dataset: no OpenGL context for the cameras" in printed.err
    assert "cannot start" not in printed.out


@pytest.mark.slow
@pytest.mark.ros
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_was_committed_survives_a_stop_and_a_death(tmp_path, number):
    output = tmp_path / "data"
    arguments = ["--episodes", "12", "--difficulty", "easy", "--workers", "2"]
    command = [
        sys.executable,
        "-m",
        "salus_studies.collection.dataset",
        *arguments,
        "--output",
        str(output),
    ]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (output.exists() and _committed(output)):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.2)
    os.killpg(process.pid, number)
    assert process.wait(120) == (1 if number == signal.SIGINT else -signal.SIGKILL)
    kept = set(_committed(output))
    assert 0 < len(kept) < 12
    assert dataset.main([*arguments, "--output", str(output)]) == 0
    assert seeds_in(output) == list(range(12))


def _committed(output):
    try:
        return seeds_in(output)
    except ValueError:  # no run is there yet
        return []
