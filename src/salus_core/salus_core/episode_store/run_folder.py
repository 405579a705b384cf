# SPDX-License-Identifier: Apache-2.0
"""The files of a run beside its arrays: lock, log, metadata, note of the open episode."""

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from salus_core.episode_store.checksums import CHECKSUMS, Sum, sum_of, sum_of_file, to_text
from salus_core.episode_store.files import AtomicFiles, StoreWriteError

DATA = "data.zarr"
METADATA = "metadata.json"
LOG = "recorder.log"
LOCK = ".lock"
OPEN_EPISODE = "open_episode.json"
NAME_FORMAT = "%Y%m%d_%H%M%S"
NOTE_BYTES = 256


def now_text() -> str:
    """The wall clock, UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def make_run_folder(root: Path, env: str) -> Path:
    """Make `<root>/<YYYYmmdd_HHMMSS>[-<env>]`, local time; waits if that name is taken.

    Raises:
        StoreWriteError: it cannot be made.
    """
    while True:
        path = root / (time.strftime(NAME_FORMAT) + (f"-{env}" if env else ""))
        try:
            root.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except FileExistsError:
            if not root.is_dir():
                raise StoreWriteError(root, NotADirectoryError(20, "is not a folder")) from None
            time.sleep(0.1)
        except OSError as error:
            raise StoreWriteError(path, error) from error
        else:
            return path


class RunLock:
    """Held as long as the writer's process lives: the kernel lets go of it.

    Raises:
        StoreWriteError: its file cannot be opened.
    """

    def __init__(self, path: Path):
        try:
            self._descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreWriteError(path / LOCK, error) from error

    def acquire(self) -> bool:
        """Take it; False if another process has it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go."""
        os.close(self._descriptor)


class RunLog:
    """Lines of text with a time and a level, appended to recorder.log."""

    def __init__(self, path: Path):
        self._path = path / LOG

    def write(self, message: str, level: str = "INFO") -> None:
        """Append a line.

        Raises:
            StoreWriteError: the disk refused.
        """
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{now_text()} {level} {message}\n")
        except OSError as error:
            raise StoreWriteError(self._path, error) from error

    def try_write(self, message: str, level: str) -> None:
        """Append a line, or not: for a report of an error that has the same cause."""
        with contextlib.suppress(StoreWriteError):
            self.write(message, level)


@dataclass(frozen=True)
class OpenEpisode:
    """An episode that had begun when its recorder died."""

    number: int
    steps: int


class OpenEpisodeNote:
    """Says on disk which episode is in progress and how far it has come.

    For the case of a sudden death. A line of fixed size, rewritten in place: some microseconds a
    step.
    """

    def __init__(self, path: Path):
        self._path = path / OPEN_EPISODE
        self._descriptor = -1
        self._number = 0

    def begin(self, number: int) -> None:
        """Begin an episode.

        Raises:
            StoreWriteError: the disk refused.
        """
        self._number = number
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreWriteError(self._path, error) from error
        self.update(0)

    def update(self, steps: int) -> None:
        """Note how many steps have come.

        Raises:
            StoreWriteError: the disk refused.
        """
        line = json.dumps({"episode": self._number, "steps": steps}).ljust(NOTE_BYTES - 1) + "\n"
        try:
            os.pwrite(self._descriptor, line.encode(), 0)
        except OSError as error:
            raise StoreWriteError(self._path, error) from error

    def end(self) -> None:
        """The episode is committed or given up."""
        self.leave()
        self._path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Close the file and leave it, for the next start to find."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @staticmethod
    def read(path: Path) -> OpenEpisode | None:
        """The note in a run's folder; None if no episode was in progress."""
        try:
            content = json.loads((path / OPEN_EPISODE).read_text())
            return OpenEpisode(number=int(content["episode"]), steps=int(content["steps"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError):
            return OpenEpisode(number=-1, steps=0)  # died between its creation and the first line


def write_metadata(files: AtomicFiles, path: Path, metadata: dict[str, Any]) -> None:
    """Write metadata.json.

    Raises:
        StoreWriteError: the disk refused.
    """
    files.write(path / METADATA, [_metadata_text(metadata)])


def finish(files: AtomicFiles, path: Path, metadata: dict[str, Any], sums: dict[str, Sum]) -> None:
    """Write checksums.txt, then the metadata of a run that has ended: nothing changes after that.

    Args:
        files: how to write.
        path: of the run.
        metadata: as it will be.
        sums: of its other files, but the log.

    Raises:
        StoreWriteError: the disk refused; the run is still open.
    """
    metadata["checksums"] = CHECKSUMS
    try:
        log = sum_of_file(path / LOG)
    except OSError as error:
        raise StoreWriteError(path / LOG, error) from error
    written = {METADATA: sum_of([_metadata_text(metadata)]), LOG: log}
    files.write(path / CHECKSUMS, [to_text({**sums, **written})])
    write_metadata(files, path, metadata)


def _metadata_text(metadata: dict[str, Any]) -> bytes:
    return json.dumps(metadata, indent=2).encode() + b"\n"
