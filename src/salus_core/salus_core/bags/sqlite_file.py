# SPDX-License-Identifier: Apache-2.0
"""sqlite3 files of a bag: whole ones, and those that a crash cut off."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from salus_core.bags.errors import BagError, one_line

_MAGIC = b"SQLite format 3\x00"
_REMEDY = (
    "`sqlite3 FILE .recover | sqlite3 NEW_FILE` (https://sqlite.org/recovery.html) saves what can "
    "be saved"
)
_PAGES_AT = 28
"""Where the header says how many pages the file has: https://sqlite.org/fileformat.html."""

# The module sqlite3 decodes what SQLite says, damaged names of tables included.
_UNREADABLE = (sqlite3.Error, UnicodeError, OverflowError, MemoryError)
_SIDE_FILES = ("-wal", "-journal")
_MOST_TOPICS = 100_000


@dataclass
class SqliteFile:
    """Topics and messages of one file.

    Args:
        path: of the file.

    Attributes:
        topics: (name, type) by number.
        definitions: of message types, by name; files of before ROS 2 Iron have none.
        cut: where the file breaks off; empty: it is whole.
    """

    path: Path
    topics: dict[int, tuple[str, str]] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    cut: str = ""

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        """(topic, time of receipt [ns], data) in the order of writing; fills the attributes.

        Raises:
            BagError: it is no sqlite3 file of a bag, or is damaged before its first message.
        """
        size = self._checked_size()
        count, total = 0, 0
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(closing(self._open(stack, size)))
                self._describe(connection)
                rows = connection.execute("SELECT topic_id, timestamp, data FROM messages")
            except (*_UNREADABLE, OSError) as error:
                raise self._damaged(one_line(error)) from error
            while True:
                try:
                    row = rows.fetchone()
                except _UNREADABLE as error:
                    self.cut = f"after message {count} ({one_line(error)}; {_REMEDY})"
                    return
                if row is None:
                    return
                count += 1
                topic, time, data = row
                if not (isinstance(topic, int) and isinstance(time, int)) or topic not in (
                    self.topics
                ):
                    raise self._damaged(f"message {count} has no topic or no time")
                if not isinstance(data, bytes):
                    raise self._damaged(f"message {count} has no data")
                total += len(data)
                # A damaged tree of pages can lead to the same rows again and again.
                if total > size or count > size:
                    raise self._damaged("its messages are larger than the file")
                yield topic, time, data

    def _checked_size(self) -> int:
        try:
            with self.path.open("rb") as file:
                head = file.read(len(_MAGIC))
            size = self.path.stat().st_size + sum(
                side.stat().st_size for side in self._side_files()
            )
        except OSError as error:
            raise BagError(f"{self.path} cannot be read: {error.strerror}") from error
        if not head:
            raise BagError(f"{self.path} is empty: its recording ended before it was written")
        if head != _MAGIC:
            raise BagError(f"{self.path} is no sqlite3 file")
        return size

    def _side_files(self) -> list[Path]:
        found = (self.path.with_name(self.path.name + suffix) for suffix in _SIDE_FILES)
        return [side for side in found if side.is_file() and side.stat().st_size]

    def _pages_if_cut(self) -> int:
        """Whole pages of a file that has fewer than its header says; 0: it has them all."""
        with self.path.open("rb") as file:
            header = file.read(100)
        if len(header) < 100:
            raise self._damaged("it ends in its header")
        (page,) = struct.unpack_from(">H", header, 16)
        (announced,) = struct.unpack_from(">I", header, _PAGES_AT)
        page = 65536 if page == 1 else max(page, 512)
        there = self.path.stat().st_size // page
        return there if there < announced else 0

    def _open(self, stack: ExitStack, size: int) -> sqlite3.Connection:
        """Open for reading; a copy where it is cut, or a crash left something beside it."""
        path, options = self.path.resolve(), "?mode=ro&immutable=1"
        sides, pages = self._side_files(), self._pages_if_cut()
        if sides or pages:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            for file in (path, *sides):
                shutil.copyfile(file, folder / file.name)
            path, options = folder / path.name, ""
        if pages and not sides:  # else sqlite refuses also the pages that are there
            with path.open("r+b") as copy:
                copy.seek(_PAGES_AT)
                copy.write(struct.pack(">I", pages))
        connection = sqlite3.connect(path.as_uri() + options, uri=True)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(size, 10_000))
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        return connection

    def _describe(self, connection: sqlite3.Connection) -> None:
        # A view in place of a table could compute for ever.
        rows: Any = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' LIMIT 1000"
        )
        tables = {name for (name,) in rows}
        missing = {"messages", "topics"} - tables
        if missing:
            raise BagError(f"{self.path} is no bag: it has no table {', '.join(sorted(missing))}")
        rows = connection.execute(f"SELECT id, name, type FROM topics LIMIT {_MOST_TOPICS}")
        for number, name, kind in rows:
            if (
                not isinstance(number, int)
                or not isinstance(name, str)
                or not isinstance(kind, str)
            ):
                raise self._damaged("the table topics holds other values than names and types")
            self.topics[number] = (name, kind)
        if "message_definitions" not in tables:
            return
        rows = connection.execute(
            "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions "
            f"LIMIT {_MOST_TOPICS}"
        )
        for kind, encoding, definition in rows:
            if encoding == "ros2msg" and isinstance(kind, str) and isinstance(definition, str):
                self.definitions[kind] = definition

    def _damaged(self, reason: str) -> BagError:
        return BagError(f"{self.path} is damaged: {reason}; {_REMEDY}")
