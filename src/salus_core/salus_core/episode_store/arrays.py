# SPDX-License-Identifier: Apache-2.0
"""Reads rows of Zarr arrays, within bounds, and names what is damaged."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import zarr

from salus_core.episode_store.checksums import READ_ERRORS, REMEDY, DamagedRunError, NotARunError

MAX_CHUNK_BYTES = 2**28
"""Of an inner chunk, unpacked: what a damaged document announces must not fill the memory."""


def bounded_array(data: Path, group: zarr.Group, key: str, rows: int) -> zarr.Array:
    """An array of a run, once its document and its files can hold what is asked for.

    Args:
        data: the data.zarr.
        group: opened on it.
        key: of the array.
        rows: that will be read at most.

    Raises:
        NotARunError: there is no such array, or its document makes no sense.
        DamagedRunError: it is shorter, or files of these rows are missing.
    """
    try:
        array = group[key]
        if not isinstance(array, zarr.Array):
            raise TypeError("it is a group")
        chunk = int(np.prod(array.chunks, dtype=object)) * max(array.dtype.itemsize, 1)
        per_file = (array.shards or array.chunks)[0]
    except READ_ERRORS as error:
        raise NotARunError(f"{data / key} cannot be read: {error}") from error
    if chunk > MAX_CHUNK_BYTES:
        raise NotARunError(
            f"{data / key} announces chunks of {chunk} bytes; at most {MAX_CHUNK_BYTES} are read"
        )
    if rows > array.shape[0]:
        raise DamagedRunError(f"{data / key} has {array.shape[0]} rows instead of {rows}; {REMEDY}")
    _require_files(data / key / "c", rows, per_file, array.ndim - 1)
    return array


def _require_files(folder: Path, rows: int, per_file: int, deep: int) -> None:
    wanted = -(-rows // per_file)
    there = len(os.listdir(folder)) if folder.is_dir() else 0
    # As many files as there are bound the search, not the number that a document gives.
    for number in range(min(wanted, there + 1)):
        file = folder.joinpath(str(number), *["0"] * deep)
        if not file.is_file():
            last = min((number + 1) * per_file, rows) - 1
            raise DamagedRunError(
                f"{file}: the file of rows {number * per_file} to {last} is missing; {REMEDY}"
            )


def read_rows(data: Path, array: zarr.Array, start: int, stop: int, check: bool) -> np.ndarray:
    """Rows of an array.

    Args:
        data: the data.zarr.
        array: of it.
        start: first row.
        stop: row after the last.
        check: False: rows that cannot be read are fill values.

    Raises:
        DamagedRunError: rows cannot be read; the message names the first ones.
    """
    try:
        return np.asarray(array[start:stop])
    except READ_ERRORS as error:
        if check:
            bad = next(rows for rows in _chunks(array, start, stop) if _read(array, rows) is None)
            raise DamagedRunError(
                f"{data / array.path} is damaged in rows {bad.start} to {bad.stop - 1} ({error}); "
                f"{REMEDY}"
            ) from error
    found = np.full((stop - start, *array.shape[1:]), array.fill_value, array.dtype)
    for rows in _chunks(array, start, stop):
        part = _read(array, rows)
        if part is not None:
            found[rows.start - start : rows.stop - start] = part
    return found


def _chunks(array: zarr.Array, start: int, stop: int) -> list[slice]:
    """The rows of each inner chunk that lie within some rows."""
    size = array.chunks[0]
    begins = range(start - start % size, stop, size)
    return [slice(max(begin, start), min(begin + size, stop)) for begin in begins]


def _read(array: zarr.Array, rows: slice) -> np.ndarray | None:
    with contextlib.suppress(*READ_ERRORS):
        return np.asarray(array[rows])
    return None
