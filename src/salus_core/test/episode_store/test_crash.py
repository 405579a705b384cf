# SPDX-License-Identifier: Apache-2.0
"""Death of the writer at any moment, and disks that refuse."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time
import warnings

import pytest
import zarr

from salus_core.episode_store import (
    AtomicFiles,
    EpisodeStart,
    EpisodeWriter,
    StoreWriteError,
    open_run,
    recover_root,
)
from salus_core.episode_store.testing import assert_episodes, make_row, write_episode

LENGTHS = [5, 66, 9]


def read_plain(run) -> zarr.Group:
    return zarr.open_group(run / "data.zarr", mode="r")


class WatchedFiles(AtomicFiles):
    """Looks at the disk after each single change, as whoever finds it after a sudden death would.

    Between two of these, only the file under the name *.partial differs.
    """

    def __init__(self, look):
        super().__init__(fsync=False)
        self._look = look
        self.changes = 0

    def _replace(self, partial, path):
        super()._replace(partial, path)
        self.changes += 1
        self._look(path)


def test_every_single_write_leaves_exactly_the_committed_episodes(tmp_path, schema):
    committed: list[int] = []
    seen: set[int] = set()
    state = {}

    def look(path):
        writer = state.get("writer")
        if writer is None:
            return
        group = read_plain(writer.path)
        count = group["meta/episode_ends"].shape[0]
        # The episode being committed counts from one of these writes on.
        assert count in (len(committed), len(committed) + 1)
        changed = str(path.relative_to(writer.path / "data.zarr"))
        key = changed.split("/c/")[0].removesuffix("/zarr.json").removeprefix("data/")
        keys = None if count not in seen else [] if key.startswith("meta") else [key]
        assert_episodes(group, schema, LENGTHS[:count], keys=keys)
        seen.add(count)

    files = WatchedFiles(look)
    writer = EpisodeWriter(tmp_path, schema, files=files)
    state["writer"] = writer
    for number, length in enumerate(LENGTHS):
        write_episode(writer, number, length)
        committed.append(length)
    assert seen == {0, 1, 2, 3}
    assert files.changes > 300


def test_recovery_from_states_of_a_commit(tmp_path, schema):
    """Cleaning up a half-made commit leaves arrays of exactly the committed length."""
    root = tmp_path / "runs"
    state = {"changes": 0, "recovered": set()}

    def look(path):
        writer = state.get("writer")
        if writer is None:
            return
        state["changes"] += 1
        if state["changes"] % 11 and "episode_ends" not in path.parts:
            return
        copy = tmp_path / "copy"
        shutil.copytree(writer.path, copy / writer.path.name)
        before = len(open_run(copy / writer.path.name))
        (recovery,) = recover_root(copy, AtomicFiles(fsync=False))
        group = read_plain(recovery.path)
        assert recovery.episodes == before
        assert_episodes(group, schema, LENGTHS[:before])
        for _, array in group["data"].arrays():
            assert array.shape[0] == recovery.steps
        for _, array in group["meta/episode"].arrays():
            assert array.shape[0] == before
        assert not list(recovery.path.rglob("*.partial"))
        assert recover_root(copy) == []
        shutil.rmtree(copy)
        state["recovered"].add(before)

    writer = EpisodeWriter(root, schema, files=WatchedFiles(look))
    write_episode(writer, 0, LENGTHS[0])
    state["writer"] = writer
    write_episode(writer, 1, LENGTHS[1])
    assert state["changes"] > 60
    assert state["recovered"] == {1, 2}


def write_until_killed(root, schema) -> int:
    """Fork a process that writes episodes of 20 steps for ever."""
    child = os.fork()
    if child == 0:
        try:
            writer = EpisodeWriter(root, schema, fsync=False)
            number = 0
            while True:
                write_episode(writer, number, 20)
                number += 1
        finally:
            os._exit(1)
    return child


def test_kill_at_random_times(tmp_path, schema):
    moments = random.Random(0)
    for attempt in range(8):
        root = tmp_path / str(attempt)
        child = write_until_killed(root, schema)
        deadline = time.monotonic() + 20
        while (
            sum(log.read_text().count("committed") for log in root.glob("*/*.log")) < attempt // 2
        ):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        for recovery in recover_root(root):
            assert recovery.episodes >= attempt // 2
            assert recovery.dropped_steps <= 20
            if (recovery.path / "data.zarr").exists():
                assert_episodes(read_plain(recovery.path), schema, [20] * recovery.episodes)


def test_next_start_says_what_it_dropped(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema, fsync=False)
    write_episode(writer, 3, 10)
    writer.begin_episode(EpisodeStart(number=4))
    for step in range(7):
        writer.append(make_row(schema, 4, step))
    assert recover_root(tmp_path) == []  # its writer is alive
    writer._lock.release()  # what the kernel does when the process dies
    (recovery,) = recover_root(tmp_path)
    assert (recovery.episodes, recovery.steps) == (1, 10)
    assert (recovery.dropped_episode, recovery.dropped_steps) == (4, 7)
    text = f"{writer.path}: the recorder died in episode 4; dropped its 7 steps, kept 1 committed"
    assert str(recovery).startswith(text)
    assert text in (writer.path / "recorder.log").read_text()
    assert json.loads((writer.path / "metadata.json").read_text())["state"] == "recovered"
    assert recover_root(tmp_path) == []


def test_folders_of_others_are_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "metadata.json").write_text("[]")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "metadata.json").write_text("{")
    assert recover_root(tmp_path) == []
    assert recover_root(tmp_path / "not there") == []


class RefusingFiles(AtomicFiles):
    """A disk that is full from the n-th write on."""

    def __init__(self, limit):
        super().__init__(fsync=False)
        self.left = limit

    def _replace(self, partial, path):
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super()._replace(partial, path)


@pytest.mark.parametrize("more", [0, 20, 26, 60, 70, 93, 94])
def test_full_disk_leaves_committed_episodes(tmp_path, schema, more):
    files = RefusingFiles(10**9)
    writer = EpisodeWriter(tmp_path, schema, files=files)
    write_episode(writer, 0, 5)
    files.left = more

    def write_on():
        for number in (1, 2):
            write_episode(writer, number, 66)

    with pytest.raises(StoreWriteError, match=r"No space left on device; free some space"):
        write_on()
    writer.abandon("full")
    committed = len(open_run(writer.path))
    assert_episodes(read_plain(writer.path), schema, [5, 66][:committed])
    (recovery,) = recover_root(tmp_path)
    assert recovery.episodes == committed
    assert_episodes(read_plain(writer.path), schema, [5, 66][:committed])
    assert not list(writer.path.rglob("*.partial"))


def test_really_full_disk(tmp_path, schema):
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root and the right to mount")
    try:
        writer = EpisodeWriter(mount, schema)
        done = []

        def write_on():
            for number in range(10000):
                write_episode(writer, number, 100)
                done.append(100)

        with pytest.raises(StoreWriteError, match="No space left on device") as caught:
            write_on()
        writer.abandon(str(caught.value))
        assert len(done) > 1
        # The very write that failed may have been the log's, after the commit.
        committed = len(open_run(writer.path))
        assert committed in (len(done), len(done) + 1)
        assert_episodes(read_plain(writer.path), schema, [100] * committed)
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_reader_sees_whole_episodes_while_they_are_written(tmp_path, schema):
    child = write_until_killed(tmp_path, schema)
    counts = set()
    try:
        deadline = time.monotonic() + 20
        while len(counts) < 3 and time.monotonic() < deadline:
            for run in tmp_path.glob("*/data.zarr"):
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    group = read_plain(run.parent)
                count = group["meta/episode_ends"].shape[0]
                assert_episodes(group, schema, [20] * count, growing=True)
                counts.add(count)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert len(counts) >= 3
