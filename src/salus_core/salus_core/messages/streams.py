# SPDX-License-Identifier: Apache-2.0
"""Messages of one source by stamp, and the epochs between which stamps go back."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

SOURCES = 16
"""Sources of one topic that are told apart; the one that was silent longest is forgotten."""

_AHEAD = 1_000_000_000
"""A stamp that is so much ahead of those before it, by time of arrival, may be a mistake [ns]."""


@dataclass(frozen=True)
class Epoch:
    """A stretch of time in which stamps go on; a simulator's stop and play begins another.

    Attributes:
        index: counts up.
        origin: sum of the jumps of `time of arrival - stamp` before it [ns].
    """

    index: int
    origin: int


@dataclass(frozen=True)
class Entry:
    """One message.

    Attributes:
        stamp: [ns].
        arrival: [ns].
        message: None if it cannot be used.
        offers: parts that it has.
        problem: why it cannot be used.
    """

    stamp: int
    arrival: int
    message: Any
    offers: Collection[str]
    problem: str = ""


@dataclass
class Lane:
    """Messages of one source in one epoch, in the order of their stamps."""

    newest: int
    stamps: list[int] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    parts: set[str] = field(default_factory=set)

    def add(self, entry: Entry) -> bool:
        """Keep a message; False: one with its stamp is there already."""
        at = bisect_left(self.stamps, entry.stamp)
        if at < len(self.stamps) and self.stamps[at] == entry.stamp:
            if self.entries[at].problem and not entry.problem:
                self.entries[at] = entry
                self.parts.update(entry.offers)
                return True
            return False
        self.stamps.insert(at, entry.stamp)
        self.entries.insert(at, entry)
        self.parts.update(entry.offers)
        return True

    def prune(self, oldest_arrival: int, capacity: int) -> int:
        """Forget old messages; returns how many went because there are more than `capacity`."""
        many = max(0, len(self.entries) - capacity)
        old = many
        while old < len(self.entries) and self.entries[old].arrival < oldest_arrival:
            old += 1
        del self.stamps[:old], self.entries[:old]
        return many

    def retreat(self, newest: int) -> None:
        """Forget messages with stamps beyond one that was the newest before."""
        kept = bisect_right(self.stamps, newest)
        del self.stamps[kept:], self.entries[kept:]
        self.newest = newest

    def near(self, stamp: int) -> Iterator[Entry]:
        """Messages from the nearest on; of two equally near the earlier first."""
        after = bisect_left(self.stamps, stamp)
        before = after - 1
        while before >= 0 or after < len(self.stamps):
            later = after < len(self.stamps) and (
                before < 0 or self.stamps[after] - stamp < stamp - self.stamps[before]
            )
            if later:
                yield self.entries[after]
                after += 1
            else:
                yield self.entries[before]
                before -= 1


class Stream:
    """What is known of one source: in which epoch it is, and how late its messages come."""

    def __init__(self) -> None:
        self.epoch: Epoch | None = None
        self.offset = 0
        """Time of arrival - stamp of the last message [ns]."""
        self.arrival = 0
        self.entered = 0
        """Arrival of the first message in the present epoch [ns]."""
        self.before: tuple[int, int] | None = None
        """Newest stamp and offset before stamps ran ahead [ns]."""
        self.lanes: dict[int, Lane] = {}

    def newest(self, epoch: Epoch) -> int | None:
        """Newest stamp in an epoch [ns]; None: nothing came in it."""
        lane = self.lanes.get(epoch.index)
        return None if lane is None else lane.newest

    def correct(self, stamp: int, offset: int, slack: int) -> None:
        """Undo stamps that ran ahead of time if this one goes on where they began: a mistake."""
        if self.epoch is None or (lane := self.lanes.get(self.epoch.index)) is None:
            return
        if offset < self.offset - _AHEAD:
            self.before = self.before or (lane.newest, self.offset)
        elif self.before is not None and stamp < lane.newest - slack:
            newest, old = self.before
            if stamp >= newest - slack and 10 * abs(offset - old) < lane.newest - stamp:
                lane.retreat(newest)
                self.offset = old
            self.before = None


class Epochs:
    """Finds the epoch of each message, in whatever order topics come across a jump.

    A source whose stamps go back has entered the epoch after. Other sources, which are behind, are
    still in the one before: `time of arrival - stamp` tells which of the two a message fits, as it
    jumps by the same amount for every source.
    """

    def __init__(self, kept: int = 3):
        self._kept = kept
        self.alive: list[Epoch] = [Epoch(0, 0)]

    def place(self, stream: Stream, stamp: int, now: int, slack: int) -> tuple[Epoch, int]:
        """Find the epoch of a message and move its stream there.

        Args:
            stream: of the message's source.
            stamp: of the message [ns].
            now: time of arrival [ns].
            slack: a stamp may be so much older than the newest of its source [ns]; -1: it must be
                newer.

        Returns:
            The epoch, and by how much stamps went back if the message began it, else 0 [ns].
        """
        offset, back = now - stamp, 0
        stream.correct(stamp, offset, slack)
        if stream.epoch is None:
            epoch = self.alive[-1]
        else:
            candidates = [
                epoch
                for epoch in self.alive
                if (newest := stream.newest(epoch)) is None or stamp >= newest - slack
            ]
            newest = stream.newest(stream.epoch)
            if newest is not None and stamp < newest - slack:
                # An epoch before the present one of a source is over for it.
                candidates = [e for e in candidates if e.index > stream.epoch.index]
            if candidates:
                expected = stream.offset - stream.epoch.origin
                epoch = min(candidates, key=lambda e: abs(offset - expected - e.origin))
            else:
                back = max(1, (newest or stamp) - stamp)
                jump = offset - stream.offset
                epoch = Epoch(self.alive[-1].index + 1, stream.epoch.origin + jump)
                self.alive = [*self.alive, epoch][-self._kept :]
        if epoch is not stream.epoch:
            stream.entered = now
        stream.epoch, stream.offset, stream.arrival = epoch, offset, now
        lane = stream.lanes.setdefault(epoch.index, Lane(stamp))
        lane.newest = max(lane.newest, stamp)
        return epoch, back

    def forget(self, streams: Iterable[Stream]) -> None:
        """Drop what belongs to epochs that are over."""
        alive = {epoch.index for epoch in self.alive}
        for stream in streams:
            for index in [index for index in stream.lanes if index not in alive]:
                del stream.lanes[index]
