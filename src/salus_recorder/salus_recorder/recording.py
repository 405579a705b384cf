# SPDX-License-Identifier: Apache-2.0
"""The thread that writes: between it and the executor lies a bounded queue."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from salus_core.episode_store import (
    EpisodeEnd,
    EpisodeStart,
    EpisodeWriter,
    RunSchema,
    SchemaError,
    StoreWriteError,
)
from salus_core.episode_store.records import row_of
from salus_recorder.assembler import StepMessages
from salus_recorder.rows import make_record

QUEUE_ROWS = 16
"""Steps that wait for the thread; more wait in the EpisodeAssembler."""


@dataclass(frozen=True)
class Committed:
    """What the recorder says after an episode."""

    number: int
    steps: int
    gaps: int
    missing: Mapping[str, int] = field(default_factory=dict)
    """Steps that lack a required topic, by topic; a step of which nothing came counts for none."""


@dataclass(frozen=True)
class _Begin:
    schema: RunSchema
    start: EpisodeStart


@dataclass(frozen=True)
class _Row:
    messages: StepMessages


@dataclass(frozen=True)
class _End:
    make: Callable[[], EpisodeEnd]


@dataclass(frozen=True)
class _Note:
    text: str


@dataclass(frozen=True)
class _Discard:
    reason: str


class Recording:
    """Writes runs on its own thread. All methods return at once, but for `stop`.

    Args:
        root: folder of runs.
        required: topics without which a row is not complete.
        writer_options: of EpisodeWriter.
        on_commit: called on the thread after each episode.
        on_row: called on the thread after each row.
        on_problem: called on the thread with what is wrong with a message.
        on_error: called on the thread, once, when the disk refuses; nothing is written after that.
    """

    def __init__(
        self,
        root: Path,
        required: frozenset[str],
        writer_options: Mapping[str, Any],
        on_commit: Callable[[Committed], None],
        on_row: Callable[[], None],
        on_problem: Callable[[str], None],
        on_error: Callable[[str], None],
    ):
        self.path = ""
        """Folder of the run; empty before the first episode."""
        self.bytes = 0
        """Size of the run on disk."""
        self.episodes = 0
        """Committed in this run."""
        self._root = root
        self._required = required
        self._free = threading.Semaphore(QUEUE_ROWS)
        self._writer_options = writer_options
        self._on_commit = on_commit
        self._on_row = on_row
        self._on_problem = on_problem
        self._on_error = on_error
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._writer: EpisodeWriter | None = None
        self._missing: Counter[str] = Counter()
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="episode writer", daemon=True)
        self._thread.start()

    def begin(self, schema: RunSchema, start: EpisodeStart) -> None:
        """Begin an episode; in a new run if the schema is another one."""
        self._queue.put(_Begin(schema, start))

    def row(self, messages: StepMessages) -> bool:
        """Write a step; False if there is no room for it now."""
        if not self._free.acquire(blocking=False):
            return False
        self._queue.put(_Row(messages))
        return True

    def end(self, make: Callable[[], EpisodeEnd]) -> None:
        """Commit the episode; `make` is called on the thread."""
        self._queue.put(_End(make))

    def note(self, text: str) -> None:
        """Say in the run's log that the robot was held as nothing came; a missed command."""
        self._queue.put(_Note(text))

    def discard(self, reason: str) -> None:
        """Forget the episode."""
        self._queue.put(_Discard(reason))

    def stop(self) -> None:
        """Write what waits, close the run, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                if isinstance(item, _Row):
                    self._free.release()
                if not self._failed:
                    self._guard(self._handle, item)
            if self._writer is not None and not self._failed:
                self._guard(self._writer.close)
        except Exception as error:
            # A thread that dies in silence would look like a recorder that works.
            self._failed = True
            self._on_error(f"the writer failed: {type(error).__name__}: {error}")
            raise

    def _guard(self, action: Callable[..., None], *arguments: Any) -> None:
        try:
            action(*arguments)
        except StoreWriteError as error:
            self._failed = True
            if self._writer is not None:
                self._writer.abandon(str(error))
            self._on_error(str(error))

    def _handle(self, item: Any) -> None:
        if isinstance(item, _Begin):
            self._begin(item)
        elif self._writer is None or not self._writer.in_episode:
            return  # the rest of an episode that was given up
        elif isinstance(item, _Row):
            self._row(item.messages)
        elif isinstance(item, _End):
            self._end(item)
        elif isinstance(item, _Note):
            self._writer.hold(item.text)
        elif isinstance(item, _Discard):
            self._writer.discard(item.reason)

    def _begin(self, item: _Begin) -> None:
        if self._writer is not None and self._writer.schema != item.schema:
            changed = [
                name
                for name in vars(item.schema)
                if getattr(item.schema, name) != getattr(self._writer.schema, name)
            ]
            self._writer.log(f"the run ends here, as there is another {', '.join(changed)}")
            self._writer.close()
            self._writer = None
        if self._writer is None:
            self._writer = EpisodeWriter(self._root, item.schema, **self._writer_options)
            self.path = str(self._writer.path)
            self.episodes = 0
        self._writer.begin_episode(item.start)
        self._missing = Counter()
        self.bytes = self._writer.bytes

    def _row(self, messages: StepMessages) -> None:
        record, missing, problems = make_record(messages, self._writer.schema, self._required)
        self._missing.update(missing)
        for problem in problems:
            self._on_problem(problem)
        self._writer.append(row_of(record, self._writer.schema))
        self._on_row()

    def _end(self, item: _End) -> None:
        number = self._writer.number
        try:
            end = item.make()
        except (SchemaError, ValueError) as error:
            self._on_problem(f"episode: {error}")
            self._writer.discard(f"its end cannot be used: {error}")
            return
        gaps = self._writer.commit(end)
        self.episodes = self._writer.episodes
        self.bytes = self._writer.bytes
        self._on_commit(
            Committed(number=number, steps=end.length, gaps=gaps, missing=self._missing)
        )
