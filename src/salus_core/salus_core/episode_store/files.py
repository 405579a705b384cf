# SPDX-License-Identifier: Apache-2.0
"""Writing files so that a death at any moment leaves the old content or the new, never a part."""

import contextlib
import errno
import os
from pathlib import Path

from salus_core.episode_store.checksums import Sum, sum_of

PARTIAL_SUFFIX = ".partial"

_ADVICE = {
    errno.ENOSPC: "free some space on that disk, or choose another output folder",
    errno.EDQUOT: "the quota is used up: free some space, or choose another output folder",
    errno.EACCES: "make the folder writable for this user, or choose another output folder",
    errno.EPERM: "make the folder writable for this user, or choose another output folder",
    errno.EROFS: "the disk is mounted read-only: choose another output folder",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "the disk reports a hardware error: choose another output folder",
}


class StoreWriteError(OSError):
    """A file of a run cannot be written; the message names it, the reason and what to do."""

    def __init__(self, path: Path, error: OSError):
        self.path = path
        number = error.errno or errno.EIO
        advice = _ADVICE.get(number, "see the reason, or choose another output folder")
        reason = error.strerror or str(error)
        super().__init__(number, reason)
        self.message = f"cannot write {path}: {reason}; {advice}"

    def __str__(self) -> str:
        return self.message


class AtomicFiles:
    """Replaces whole files by rename, and knows how much they hold.

    Args:
        fsync: force each file to the disk before it takes its name, so that the order of writes
            also survives a loss of power. Without it a death of the process is survived, and what a
            loss of power leaves is up to the file system.
    """

    def __init__(self, fsync: bool = False):
        self._fsync = fsync
        self._sums: dict[Path, Sum] = {}
        self._touched: set[Path] = set()

    @property
    def bytes(self) -> int:
        """Size of all files written and not removed."""
        return sum(size for size, _ in self._sums.values())

    def sums(self, below: Path) -> dict[str, Sum]:
        """Size and checksum of all files written and not removed, by path below a folder."""
        return {
            path.relative_to(below).as_posix(): found
            for path, found in self._sums.items()
            if path.is_relative_to(below)
        }

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents.

        Raises:
            StoreWriteError: it cannot be made.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreWriteError(path, error) from error

    def write(self, path: Path, parts: list[bytes]) -> None:
        """Give a file new content, all at once; its folder is made if need be.

        Raises:
            StoreWriteError: the disk refused; the old content is still there.
        """
        self.make_folder(path.parent)
        partial = path.with_name(path.name + PARTIAL_SUFFIX)
        try:
            with partial.open("wb") as file:
                file.writelines(parts)
                file.flush()
                if self._fsync:
                    os.fsync(file.fileno())
            self._replace(partial, path)
        except OSError as error:
            with contextlib.suppress(OSError):  # the error to report is the first one
                partial.unlink(missing_ok=True)
            raise StoreWriteError(path, error) from error
        self._sums[path] = sum_of(parts)
        self._touched.add(path.parent)

    def remove(self, path: Path) -> None:
        """Delete a file if it exists.

        Raises:
            StoreWriteError: it cannot be deleted.
        """
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreWriteError(path, error) from error
        self._sums.pop(path, None)

    def rename_folder(self, old: Path, new: Path) -> None:
        """Give a folder another name.

        Raises:
            StoreWriteError: the disk refused.
        """
        try:
            old.rename(new)
        except OSError as error:
            raise StoreWriteError(new, error) from error
        self._sums = {
            new / path.relative_to(old) if path.is_relative_to(old) else path: found
            for path, found in self._sums.items()
        }
        self._touched = {new.parent}

    def barrier(self) -> None:
        """Force the names of all files written since the last barrier to the disk.

        Raises:
            StoreWriteError: the disk refused.
        """
        touched, self._touched = self._touched, set()
        if not self._fsync:
            return
        for folder in touched:
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise StoreWriteError(folder, error) from error

    def _replace(self, partial: Path, path: Path) -> None:
        partial.replace(path)
