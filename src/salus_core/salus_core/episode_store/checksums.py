# SPDX-License-Identifier: Apache-2.0
"""checksums.txt of a finished run: size and crc32c of each of its files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import google_crc32c

CHECKSUMS = "checksums.txt"
MAX_BYTES = 64 * 2**20
"""Of checksums.txt: half a million files."""

CHECKSUM_BYTES = 4

Sum = tuple[int, int]
"""Size [bytes] and crc32c of a file."""

READ_ERRORS = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError),
    RecursionError,
)
"""What reading a damaged file may raise, in this program and in the libraries that it uses."""

_BLOCK = 2**20
_END = "end"
REMEDY = "`salus verify` names everything that is damaged; restore the run from a copy"


class NotARunError(ValueError):
    """A path does not hold a run that can be read; the message says what is missing."""


class DamagedRunError(NotARunError):
    """A file of a run is not what was written; the message names the file and the remedy."""


def checksum(content: bytes) -> bytes:
    """The crc32c of some bytes as Zarr stores it after an inner chunk and after an index."""
    return google_crc32c.value(content).to_bytes(CHECKSUM_BYTES, "little")


def sum_of(parts: list[bytes] | tuple[bytes, ...]) -> Sum:
    """Of a file's content, given in parts."""
    total, crc = 0, 0
    for part in parts:
        total += len(part)
        crc = google_crc32c.extend(crc, bytes(part))
    return total, crc


def sum_of_file(path: Path) -> Sum:
    """Of a file on the disk.

    Raises:
        OSError: it cannot be read.
    """
    total, crc = 0, 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total += len(block)
            crc = google_crc32c.extend(crc, block)
    return total, crc


def to_text(sums: Mapping[str, Sum]) -> bytes:
    """Content of checksums.txt; its last line is a checksum of the lines before."""
    lines = "".join(f"{crc:08x} {size} {name}\n" for name, (size, crc) in sorted(sums.items()))
    return lines.encode() + f"{google_crc32c.value(lines.encode()):08x} {_END}\n".encode()


def read_sums(run: Path) -> dict[str, Sum] | None:
    """The checksums of a run, by file; None: it has none.

    Raises:
        DamagedRunError: checksums.txt is damaged.
    """
    path = run / CHECKSUMS
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DamagedRunError(f"{path} has more than {MAX_BYTES} bytes; {REMEDY}")
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedRunError(f"{path} cannot be read: {error.strerror}; {REMEDY}") from error
    lines, _, last = content[:-1].rpartition(b"\n")
    lines += b"\n" if lines else b""
    end = f"{google_crc32c.value(lines):08x} {_END}\n".encode()
    if last + content[-1:] != end:
        raise DamagedRunError(f"{path} is damaged: its own checksum is another; {REMEDY}")
    found = {}
    for line in lines.decode().splitlines():
        crc, size, name = line.split(" ", 2)
        found[name] = (int(size), int(crc, 16))
    return found


def files_below(run: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every entry of a run's folder that is no folder, links unfollowed, with what it is."""
    for folder, folders, names in os.walk(run, followlinks=False):
        for name in (*names, *(one for one in folders if Path(folder, one).is_symlink())):
            path = Path(folder, name)
            yield path.relative_to(run).as_posix(), path.lstat()


def odd_entry(run: Path) -> str:
    """The first entry of a run's folder that is neither file nor folder; empty: there is none.

    Whoever deletes or cuts files of a run must not be led elsewhere by a link, nor wait for ever at
    a pipe.
    """
    if run.is_symlink():
        return str(run)
    for name, found in files_below(run):
        if not stat.S_ISREG(found.st_mode):
            return str(run / name)
    return ""


def require_whole(run: Path) -> None:
    """Compare the documents of a finished run and the sizes of its files with its checksums.

    What arrays hold is checked as it is read.

    Raises:
        DamagedRunError: a file is missing, or another than was written.
    """
    for name, (size, crc) in (read_sums(run) or {}).items():
        file = run / name
        try:
            found = file.stat().st_size
            if found != size:
                raise DamagedRunError(f"{file} has {found} bytes instead of {size}; {REMEDY}")
            if name.endswith(".json") and sum_of_file(file) != (size, crc):
                raise DamagedRunError(f"{file} has another checksum than was written; {REMEDY}")
        except OSError as error:
            raise DamagedRunError(f"{file}: {error.strerror}; {REMEDY}") from error
