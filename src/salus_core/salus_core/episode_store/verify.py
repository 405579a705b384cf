# SPDX-License-Identifier: Apache-2.0
"""Finds damage in a run: flipped bits, missing, cut and foreign files."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from salus_core.episode_store.checksums import (
    CHECKSUM_BYTES,
    CHECKSUMS,
    READ_ERRORS,
    DamagedRunError,
    NotARunError,
    checksum,
    files_below,
    read_sums,
    sum_of_file,
)
from salus_core.episode_store.columns import MISSING_CHUNK, read_index
from salus_core.episode_store.reader import committed_ends
from salus_core.episode_store.relabelling import LABELS
from salus_core.episode_store.run_folder import DATA, LOCK, METADATA

_BESIDE = (LOCK, CHECKSUMS, LABELS)


@dataclass(frozen=True)
class Damage:
    """One damaged file.

    Attributes:
        file: path below the run.
        what: is wrong with it.
        rows: of its array that are concerned; empty: not known, or no array's.
        episodes: positions in the run of the episodes that are concerned.
    """

    file: str
    what: str
    rows: tuple[range, ...] = ()
    episodes: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = ", ".join(f"{one.start} to {one.stop - 1}" for one in self.rows)
        concerned = ", ".join(map(str, self.episodes))
        return (
            f"{self.file}: {self.what}"
            + (f"; rows {where}" if where else "")
            + (f"; episodes {concerned}" if concerned else "")
        )


@dataclass
class Verification:
    """What was found in one run.

    Attributes:
        path: of the run.
        files: that were looked at.
        damage: what is damaged.
        notes: what is no damage, but worth a line.
    """

    path: Path
    files: int = 0
    damage: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Shards:
    """What an array's zarr.json says of its files."""

    rows: int
    shard_rows: int
    chunk_rows: int
    per_step: bool
    checksums: bool
    deep: int

    @staticmethod
    def of(path: Path, key: str) -> _Shards | None:
        """Of the array in a folder; None: there is none, or its document cannot be read."""
        try:
            document: Any = json.loads((path / "zarr.json").read_text())
            if document["node_type"] != "array":
                return None
            (codec,) = document["codecs"]
            inner = codec["configuration"]
            return _Shards(
                rows=int(document["shape"][0]),
                shard_rows=int(document["chunk_grid"]["configuration"]["chunk_shape"][0]),
                chunk_rows=int(inner["chunk_shape"][0]),
                per_step=key.startswith("data/"),
                checksums=any(one["name"] == "crc32c" for one in inner["codecs"]),
                deep=len(document["shape"]) - 1,
            )
        except READ_ERRORS:
            return None

    def path(self, number: int) -> str:
        """Of a shard, below the array."""
        return "/".join(["c", str(number), *["0"] * self.deep])

    def rows_of(self, number: int) -> range:
        """Rows that a shard holds."""
        first = number * self.shard_rows
        return range(min(first, self.rows), min(first + self.shard_rows, self.rows))


def verify_run(run: Path, progress: Callable[[int], None] = lambda files: None) -> Verification:
    """Look at every file of a run.

    A finished run is compared with its checksums.txt. Of a run that is still being written, or that
    an older version wrote, the arrays are checked: their files, indices and, if they have them, the
    checksums of their inner chunks.

    Args:
        run: its folder.
        progress: called with the number of files looked at.

    Returns:
        What was found.
    """
    found = Verification(run)
    try:
        sums = read_sums(run)
    except DamagedRunError as error:
        found.damage.append(Damage(CHECKSUMS, f"is damaged: {str(error).partition(': ')[2]}"))
        sums = None
    if sums is None:
        _without_sums(run, found, progress)
        return found
    ends = _ends(run)
    present = dict(files_below(run))
    for name, (size, crc) in sums.items():
        what = _compare(run / name, present.get(name), size, crc)
        if what:
            found.damage.append(_locate(run, name, what, ends))
        found.files += 1
        progress(found.files)
    odd = sorted(set(present) - set(sums) - set(_BESIDE))
    found.notes += [f"{name} is not one of its files" for name in odd]
    return found


def _compare(path: Path, entry: Any, size: int, crc: int) -> str:
    if entry is None:
        return "is missing"
    if not stat.S_ISREG(entry.st_mode):
        return "is no file any more"
    if entry.st_size != size:
        return f"has {entry.st_size} bytes instead of {size}"
    try:
        return "" if sum_of_file(path) == (size, crc) else "has another checksum than was written"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _without_sums(run: Path, found: Verification, progress: Callable[[int], None]) -> None:
    metadata: Any = None
    try:
        metadata = json.loads((run / METADATA).read_text())
    except READ_ERRORS as error:
        found.damage.append(Damage(METADATA, f"cannot be read: {error}"))
    if isinstance(metadata, dict) and metadata.get("checksums") and not found.damage:
        found.damage.append(Damage(CHECKSUMS, "is missing"))
    elif isinstance(metadata, dict) and metadata.get("state") == "open":
        found.notes.append("is open: only the arrays of its committed episodes are checked")
    elif not found.damage:
        found.notes.append("has no checksums (an older version wrote it): only its arrays are")
    ends = _ends(run)
    if ends is None:
        found.damage.append(Damage(DATA, "meta/episode_ends cannot be read"))
        return
    steps = int(ends[-1]) if len(ends) else 0
    for document in sorted((run / DATA).rglob("zarr.json")):
        array = document.parent
        key = array.relative_to(run / DATA).as_posix()
        shards = _Shards.of(array, key)
        if shards is None:
            if "node_type" not in _text(document):
                found.damage.append(Damage(f"{DATA}/{key}/zarr.json", "cannot be read"))
            continue
        committed = steps if shards.per_step else len(ends)
        count = min(-(-committed // max(shards.shard_rows, 1)), 1 + _files_of(array))
        for number in range(count):
            for what, rows in check_shard(array / shards.path(number), shards, number, committed):
                name = f"{DATA}/{key}/{shards.path(number)}"
                found.damage.append(Damage(name, what, (rows,), _concerned(rows, shards, ends)))
            found.files += 1
            progress(found.files)


def check_shard(
    path: Path, shards: _Shards, number: int, committed: int
) -> Iterator[tuple[str, range]]:
    """Damage of a shard: what, and the rows that are concerned.

    Args:
        path: of the shard.
        shards: of its array.
        number: of the shard.
        committed: rows of the array that count.
    """
    first = number * shards.shard_rows
    whole = range(first, min(first + shards.shard_rows, committed))
    try:
        content = path.read_bytes()
    except OSError as error:
        yield f"cannot be read: {error.strerror}", whole
        return
    count = shards.shard_rows // shards.chunk_rows
    try:
        index = read_index(content, count)
    except ValueError:
        yield "has a damaged index", whole
        return
    for chunk in range(-(-len(whole) // shards.chunk_rows)):
        begin = first + chunk * shards.chunk_rows
        rows = range(begin, min(begin + shards.chunk_rows, whole.stop))
        offset, size = (int(value) for value in index[chunk])
        if offset == MISSING_CHUNK or offset + size > len(content):
            yield f"lacks inner chunk {chunk}", rows
            continue
        piece = content[offset : offset + size]
        if shards.checksums and checksum(piece[:-CHECKSUM_BYTES]) != piece[-CHECKSUM_BYTES:]:
            yield f"inner chunk {chunk} has another checksum than was written", rows


def _locate(run: Path, name: str, what: str, ends: np.ndarray | None) -> Damage:
    """The rows and episodes that a damaged file of an array concerns."""
    key, separator, within = name.removeprefix(f"{DATA}/").partition("/c/")
    shards = _Shards.of(run / DATA / key, key) if separator else None
    number = within.partition("/")[0]
    if shards is None or not number.isdigit() or ends is None:
        return Damage(name, what)
    committed = (int(ends[-1]) if len(ends) else 0) if shards.per_step else len(ends)
    found = list(check_shard(run / name, shards, int(number), committed))
    if not found:
        return Damage(name, f"{what}, in bytes that nothing refers to")
    rows = tuple(one for _, one in found)
    concerned = sorted({i for one in rows for i in _concerned(one, shards, ends)})
    return Damage(name, what, rows, tuple(concerned))


def _concerned(rows: range, shards: _Shards, ends: np.ndarray) -> tuple[int, ...]:
    if not shards.per_step:
        return tuple(range(rows.start, min(rows.stop, len(ends))))
    first = int(np.searchsorted(ends, rows.start, side="right"))
    last = int(np.searchsorted(ends, max(rows.stop - 1, rows.start), side="right"))
    return tuple(range(first, min(last + 1, len(ends))))


def _ends(run: Path) -> np.ndarray | None:
    try:
        return committed_ends(run)
    except NotARunError:
        return None


def _files_of(array: Path) -> int:
    return sum(1 for _ in (array / "c").glob("*"))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except READ_ERRORS:
        return ""
