# SPDX-License-Identifier: Apache-2.0
"""One growing Zarr array: rows are encoded once, as they come, and published only when told.

zarr-python can only rewrite a whole shard from raw rows, in its own order of writes. Here a shard
is put together from inner chunks that are encoded already (Zarr 3, codec `sharding_indexed`, index
at the end), each file replaces its predecessor by rename, and the length in zarr.json is a write of
its own. What comes out is plain Zarr 3.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zarr
from zarr.storage import MemoryStore

from salus_core.episode_store.checksums import CHECKSUM_BYTES, checksum
from salus_core.episode_store.files import AtomicFiles

MISSING_CHUNK = 2**64 - 1
"""Offset and size of an inner chunk that a shard does not hold."""

SUPERSEDED = -1
"""In place of its number: bytes of an inner chunk that has been encoded again since."""


@dataclass(frozen=True)
class ColumnSpec:
    """What an array holds.

    Attributes:
        key: path below data.zarr.
        dtype: numpy's name, or "string".
        shape: of one row.
        fill: value of a row for which nothing has come.
        chunk_rows: rows that are compressed together.
        shard_rows: rows in one file, a multiple of `chunk_rows`.
        attributes: names, units, meaning.
    """

    key: str
    dtype: str
    shape: tuple[int, ...] = ()
    fill: Any = 0
    chunk_rows: int = 64
    shard_rows: int = 4096
    attributes: dict[str, Any] = field(default_factory=dict)

    def document(self, compression_level: int) -> dict[str, Any]:
        """The array's zarr.json with no rows, as zarr-python writes it."""
        content: dict[str, Any] = {}
        zarr.create_array(
            MemoryStore(content),
            shape=(0, *self.shape),
            chunks=(self.chunk_rows, *self.shape),
            shards=(self.shard_rows, *self.shape),
            dtype=str if self.dtype == "string" else self.dtype,
            fill_value="" if self.dtype == "string" else self.fill,
            compressors=[zarr.codecs.ZstdCodec(level=compression_level), zarr.codecs.Crc32cCodec()],
            attributes=self.attributes,
            dimension_names=["episode" if self.key.startswith("meta/") else "step"]
            + [None] * len(self.shape),
            zarr_format=3,
        )
        return json.loads(content["zarr.json"].to_bytes())


class Column:
    """Writer of one array.

    A shard only ever grows: what a published inner chunk was encoded to stays where it is when more
    rows make that chunk be encoded again. So a reader who has read the index of a shard finds what
    it points to also if the file is replaced meanwhile.

    Memory: one inner chunk of raw rows and the encoded inner chunks of one shard.

    Args:
        files: how to write.
        root: the data.zarr.
        spec: what the array holds.
        compression_level: of zstd.
    """

    def __init__(self, files: AtomicFiles, root: Path, spec: ColumnSpec, compression_level: int):
        self.spec = spec
        self.rows = 0
        """Rows appended, published or not."""
        self.fill = np.full(spec.shape, spec.fill)
        """A row for which nothing has come."""
        self._files = files
        self._folder = root / spec.key
        self._zstd = numcodecs.Zstd(level=compression_level)
        self._document = spec.document(compression_level)
        self._encode, self._decode = _string_codec() if spec.dtype == "string" else self._plain()
        self._tail = self._empty_chunk()
        # Of the shard in progress, in the order of the file: number of the inner chunk, encoded
        # bytes.
        self._pieces: list[tuple[int, bytes]] = []
        self._saved_rows = 0
        self._saved_bytes = 0
        self.publish()

    def moved(self, root: Path) -> None:
        """Be told that the data.zarr has another name now."""
        self._folder = root / self.spec.key

    def check(self, value: Any) -> None:
        """Check a row.

        Raises:
            ValueError: the value does not have the row's shape.
        """
        if self.spec.dtype != "string" and np.shape(value) != self.spec.shape:
            raise ValueError(
                f"{self.spec.key}: a row has shape {self.spec.shape}, got {np.shape(value)}"
            )

    def append(self, value: Any) -> None:
        """Add a row that `check` accepts.

        Raises:
            StoreWriteError: a full shard could not be written.
        """
        self._tail[self.rows % self.spec.chunk_rows] = value
        self.rows += 1
        if self.rows % self.spec.chunk_rows == 0:
            self._encode_tail(self.rows - 1)
            self._tail = self._empty_chunk()
            if self.rows % self.spec.shard_rows == 0:
                self._write_shard(self.rows // self.spec.shard_rows - 1)
                self._pieces = []

    def save(self) -> None:
        """Write all rows to files; they do not belong to the array before `publish`.

        Raises:
            StoreWriteError: the disk refused; what was published is intact.
        """
        if self._saved_rows == self.rows:
            return
        if self.rows % self.spec.chunk_rows:
            self._encode_tail(self.rows)
        if self._pieces:
            self._write_shard(self.rows // self.spec.shard_rows)
        self._saved_rows = self.rows
        self._saved_bytes = self._shard_bytes()

    def publish(self) -> None:
        """Make the array as long as the rows that were appended; `save` them before.

        Raises:
            StoreWriteError: the disk refused; the array has its old length.
        """
        self._document["shape"][0] = self.rows
        text = json.dumps(self._document, indent=2)
        self._files.write(self._folder / "zarr.json", [text.encode()])

    def truncate(self, rows: int) -> None:
        """Forget the rows from this one on; never used on published rows.

        Raises:
            StoreWriteError: a file that holds only forgotten rows cannot be deleted.
        """
        if rows >= self.rows:
            return
        shard, within = divmod(rows, self.spec.shard_rows)
        chunk, kept = divmod(within, self.spec.chunk_rows)
        if shard != self.rows // self.spec.shard_rows:
            self._pieces = self._read_shard(shard)
            self._tail = self._last_encoded(chunk)
        elif chunk != self.rows % self.spec.shard_rows // self.spec.chunk_rows:
            self._tail = self._last_encoded(chunk)
        self._tail[kept:] = self._empty_chunk()[kept:]
        # What was saved stays, as readers may know it; it lies in the shard of the last saved row.
        saved = self._saved_bytes if shard == self._saved_rows // self.spec.shard_rows else 0
        while self._shard_bytes() > saved and self._pieces[-1][0] >= chunk:
            self._pieces.pop()
        for number in range(shard + bool(self._pieces), -(-self.rows // self.spec.shard_rows)):
            self._files.remove(self._shard_path(number))
        self.rows = rows

    def _plain(self) -> tuple[Callable[[np.ndarray], Any], Callable[[Any], np.ndarray]]:
        shape = (self.spec.chunk_rows, *self.spec.shape)
        little_endian = np.dtype(self.spec.dtype).newbyteorder("<")
        return (
            lambda rows: np.ascontiguousarray(rows, little_endian),
            lambda data: np.frombuffer(data, little_endian).reshape(shape),
        )

    def _empty_chunk(self) -> np.ndarray:
        if self.spec.dtype == "string":
            return np.full(self.spec.chunk_rows, "", object)
        return np.full((self.spec.chunk_rows, *self.spec.shape), self.spec.fill, self.spec.dtype)

    def _encode_tail(self, row: int) -> None:
        chunk = row % self.spec.shard_rows // self.spec.chunk_rows
        content = self._zstd.encode(self._encode(self._tail))
        self._pieces.append((chunk, content + checksum(content)))

    def _last_encoded(self, chunk: int) -> np.ndarray:
        content = next((piece for number, piece in reversed(self._pieces) if number == chunk), None)
        if content is None:  # the cut lies at the end of what was encoded
            return self._empty_chunk()
        return self._decode(self._zstd.decode(content[:-CHECKSUM_BYTES])).copy()

    def _shard_path(self, number: int) -> Path:
        return self._folder.joinpath("c", str(number), *["0"] * len(self.spec.shape))

    def _shard_bytes(self) -> int:
        return sum(len(piece) for _, piece in self._pieces)

    def _write_shard(self, number: int) -> None:
        index = np.full((self.spec.shard_rows // self.spec.chunk_rows, 2), MISSING_CHUNK, "<u8")
        offset = 0
        for chunk, piece in self._pieces:
            if chunk != SUPERSEDED:
                index[chunk] = offset, len(piece)
            offset += len(piece)
        table = index.tobytes()
        pieces = [piece for _, piece in self._pieces]
        self._files.write(self._shard_path(number), [*pieces, table, checksum(table)])

    def _read_shard(self, number: int) -> list[tuple[int, bytes]]:
        content = self._shard_path(number).read_bytes()
        count = self.spec.shard_rows // self.spec.chunk_rows
        index = read_index(content, count)
        pieces = []
        end = 0
        for chunk in np.argsort(index[:, 0]):
            offset, size = (int(value) for value in index[chunk])
            if offset == MISSING_CHUNK:
                break
            if offset > end:
                pieces.append((SUPERSEDED, content[end:offset]))
            end = offset + size
            pieces.append((int(chunk), content[offset:end]))
        return pieces


def read_index(content: bytes, count: int) -> np.ndarray:
    """Where the inner chunks of a shard lie: (count, 2) offset and size [bytes].

    Args:
        content: of the shard's file.
        count: inner chunks of a whole shard.

    Raises:
        ValueError: the index is damaged.
    """
    table = content[-16 * count - CHECKSUM_BYTES : -CHECKSUM_BYTES]
    if len(table) != 16 * count or checksum(table) != content[-CHECKSUM_BYTES:]:
        raise ValueError("the index of a shard is damaged")
    return np.frombuffer(table, "<u8").reshape(count, 2)


def _string_codec() -> tuple[Callable[[np.ndarray], Any], Callable[[Any], np.ndarray]]:
    codec = numcodecs.VLenUTF8()
    return codec.encode, codec.decode
