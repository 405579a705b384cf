# SPDX-License-Identifier: Apache-2.0
"""MCAP files from front to back: whole ones, and those that a crash cut off."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import lz4.frame
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Schema

from salus_core.bags.errors import BagError, one_line

MAGIC = b"\x89MCAP0\r\n"
_REMEDY = "'mcap recover FILE -o NEW_FILE' (https://mcap.dev/guides/cli) saves the other chunks"
_HEADER = struct.Struct("<BQ")
_CHUNK = struct.Struct("<QQQI")
_MESSAGE = struct.Struct("<HIQQ")
_STATISTICS = struct.Struct("<QHIIII")
_LARGEST = 1 << 32
_LARGEST_CHUNK = 1 << 30
_BLOCK = 1 << 20


_READ = (Opcode.CHUNK, Opcode.SCHEMA, Opcode.CHANNEL, Opcode.MESSAGE, Opcode.STATISTICS)


@dataclass
class McapFile:
    """Topics and messages of one file.

    Args:
        path: of the file.

    Attributes:
        schemas: by number.
        channels: by number.
        cut: where the file breaks off; empty: it is whole.

    Raises:
        BagError: it is no MCAP file, or empty.
    """

    path: Path
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    cut: str = ""

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        """(channel, time of receipt [ns], data) in the file's order; fills the other attributes.

        Raises:
            BagError: a chunk is damaged: names the file, the chunk and the remedy.
        """
        chunk, count = 0, 0
        with self.path.open("rb") as file:
            head = file.read(len(MAGIC))
            if not head:
                raise BagError(f"{self.path} is empty: its recording ended before it was written")
            if head != MAGIC:
                raise BagError(f"{self.path} is no MCAP file")
            size = self.path.stat().st_size
            while True:
                offset = file.tell()
                header = file.read(_HEADER.size)
                if len(header) < _HEADER.size:
                    self.cut = f"at byte {size}"
                    return
                opcode, length = _HEADER.unpack(header)
                if length > _LARGEST or opcode == 0:
                    raise BagError(
                        f"{self.path} is damaged at byte {offset}, after chunk {chunk}; {_REMEDY}"
                    )
                if opcode == Opcode.FOOTER:
                    return
                chunk += opcode == Opcode.CHUNK
                if opcode not in _READ:
                    file.seek(length, 1)
                    continue
                content = file.read(min(length, size - file.tell()))
                whole = len(content) == length
                if not whole:
                    self.cut = f"at byte {size}, in the record that begins at byte {offset}"
                try:
                    if opcode == Opcode.STATISTICS and whole:
                        _check_counts(content, count, chunk)
                    elif opcode == Opcode.CHUNK:
                        for message in self._records(_chunk_data(content, whole), whole):
                            count += 1
                            yield message
                    elif whole:
                        for message in self._record(opcode, content):
                            count += 1
                            yield message
                except (
                    McapError,
                    zstandard.ZstdError,
                    RuntimeError,
                    ValueError,
                    LookupError,
                    ArithmeticError,
                    MemoryError,
                    struct.error,
                ) as error:
                    if not whole:
                        return
                    where = f"chunk {chunk}" if opcode == Opcode.CHUNK else "a record"
                    raise BagError(
                        f"{self.path}: {where} (at byte {offset}) is damaged: "
                        f"{one_line(error)}; {_REMEDY}"
                    ) from error
                if not whole:
                    return

    def _records(self, data: bytes, whole: bool) -> Iterator[tuple[int, int, bytes]]:
        at = 0
        while at < len(data):
            if at + _HEADER.size > len(data):
                break
            opcode, length = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            if at + length > len(data):
                break
            yield from self._record(opcode, data[at : at + length])
            at += length
        else:
            return
        if whole:
            raise ValueError("its last record is longer than the chunk")

    def _record(self, opcode: int, content: bytes) -> Iterator[tuple[int, int, bytes]]:
        if opcode == Opcode.MESSAGE:
            channel, _, received, _ = _MESSAGE.unpack_from(content)
            if channel not in self.channels:
                raise ValueError(f"a message is of channel {channel}, which is not described")
            yield channel, received, content[_MESSAGE.size :]
        elif opcode == Opcode.SCHEMA:
            schema = Schema.read(ReadDataStream(BytesIO(content)))
            self.schemas[schema.id] = schema
        elif opcode == Opcode.CHANNEL:
            channel_record = Channel.read(ReadDataStream(BytesIO(content)))
            self.channels[channel_record.id] = channel_record


def _chunk_data(content: bytes, whole: bool) -> bytes:
    """The records of a chunk; of one that is cut off those that are there."""
    _, _, size, crc = _CHUNK.unpack_from(content)
    at = _CHUNK.size
    (length,) = struct.unpack_from("<I", content, at)
    compression = content[at + 4 : at + 4 + length].decode()
    packed = content[at + 4 + length + 8 :]
    if size > _LARGEST_CHUNK:
        raise ValueError(f"it announces {size} bytes, more than {_LARGEST_CHUNK}")
    if compression == "zstd":
        data = _unpacked(packed, size)
    elif compression == "lz4":
        data = lz4.frame.LZ4FrameDecompressor().decompress(packed, max_length=size + 1)
    elif compression == "":
        data = packed
    else:
        raise ValueError(f"its compression '{compression[:40]}' is not known")
    if not whole:
        return data
    if len(data) != size:
        raise ValueError(f"it holds {len(data)} bytes, expected {size}")
    if crc and zlib.crc32(data) != crc:
        raise ValueError("its checksum is wrong")
    return data


def _unpacked(packed: bytes, size: int) -> bytes:
    """At most `size` + 1 bytes of a zstd frame, which may be cut off."""
    data = bytearray()
    with zstandard.ZstdDecompressor(max_window_size=_LARGEST_CHUNK).stream_reader(packed) as stream:
        while len(data) <= size and (block := stream.read(min(_BLOCK, size + 1 - len(data)))):
            data += block
    return bytes(data)


def _check_counts(content: bytes, messages: int, chunks: int) -> None:
    """A damaged record is passed over as one of an unknown kind: the statistics tell."""
    announced, _, _, _, _, announced_chunks = _STATISTICS.unpack_from(content)
    if (announced, announced_chunks) != (messages, chunks):
        raise ValueError(
            f"the file holds {messages} messages in {chunks} chunks, its statistics say "
            f"{announced} in {announced_chunks}"
        )
