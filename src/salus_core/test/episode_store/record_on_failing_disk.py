# SPDX-License-Identifier: Apache-2.0
"""Records on a disk that fails at each call in turn; run with failing_disk.c preloaded.

    python record_on_failing_disk.py FOLDER ERRNO ALL EVERY

Prints a line of JSON: how many calls were tried, how often the writer refused, and how many
episodes were committed in all. Ends with a traceback where a recording lost or tore an episode.
"""

import ctypes
import json
import shutil
import sys
from pathlib import Path

import zarr

from salus_core.episode_store import EpisodeWriter, StoreWriteError, open_run, recover_root
from salus_core.episode_store.testing import assert_episodes, make_schema, write_episode

LENGTHS = [5, 66]
LIBRARY = ctypes.CDLL(None)
SCHEMA = make_schema()


def record(root: Path) -> tuple[Path | None, int, str]:
    """Write episodes; returns the run, how many were committed, and what was refused."""
    writer, done = None, 0
    try:
        writer = EpisodeWriter(root, SCHEMA)
        for number, length in enumerate(LENGTHS):
            write_episode(writer, number, length)
            done += 1
        writer.close()
    except StoreWriteError as error:
        if writer is not None:
            writer.abandon(str(error))
        return writer and writer.path, done, str(error)
    return writer.path, done, ""


def try_call(root: Path, at: int, error: int, every: int) -> tuple[int, int, str]:
    """Let the call `at` fail; returns the number of calls, episodes on disk, and what was said."""
    LIBRARY.failing_disk_arm(str(root).encode(), ctypes.c_long(at), error, every)
    path, done, said = record(root)
    calls = LIBRARY.failing_disk_count()
    LIBRARY.failing_disk_arm(b"", ctypes.c_long(0), 0, 0)
    assert "\n" not in said
    recover_root(root)
    if path is None or not (path / "data.zarr").is_dir():
        assert done == 0
        return calls, 0, said
    found = len(open_run(path))
    # The call that failed may have come after the commit itself.
    assert found in (done, done + 1), (at, done, found, said)
    assert_episodes(zarr.open_group(path / "data.zarr", mode="r"), SCHEMA, LENGTHS[:found])
    for episode in open_run(path):
        episode.read()
    return calls, found, said


def main() -> None:
    """Try every n-th call."""
    folder, error, every, stride = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    LIBRARY.failing_disk_count.restype = ctypes.c_long
    total, found, said = try_call(folder / "whole", 0, error, every)
    assert (found, said) == (len(LENGTHS), "")
    tried = refused = episodes = 0
    for at in range(1, total + 1, stride):
        root = folder / "failing"
        _, found, said = try_call(root, at, error, every)
        shutil.rmtree(root, ignore_errors=True)
        tried, refused, episodes = tried + 1, refused + bool(said), episodes + found
    print(json.dumps({"calls": total, "tried": tried, "refused": refused, "episodes": episodes}))


if __name__ == "__main__":
    main()
