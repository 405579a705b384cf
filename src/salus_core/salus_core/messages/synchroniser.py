# SPDX-License-Identifier: Apache-2.0
"""Puts the messages together that belong to one observation, by their stamps."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from salus_core.messages.checks import InvalidInputError
from salus_core.messages.inputs import Input
from salus_core.messages.stamps import NS, nanoseconds, seconds_text
from salus_core.messages.streams import SOURCES, Entry, Epoch, Epochs, Lane, Stream

__all__ = ["Counts", "Input", "Matched", "Synchroniser"]

_KEYS = 4096
"""Keys of anchors that are remembered, to tell repetitions."""
_APART = 1_000_000_000
"""Sources may be in different epochs for so long [ns]: whoever restarts does so within that."""


@dataclass(frozen=True)
class Matched:
    """An anchor and what belongs to it.

    Attributes:
        anchor: the message whose stamp the others were compared with.
        key: as given with it.
        stamp: its stamp [ns].
        values: what each input combined, by the input's name.
        missing: the reason for each required input that is not there, by name; empty: complete.
        arrival: when the anchor came, as handed in [s].
    """

    anchor: Any
    key: Hashable
    stamp: int
    values: dict[str, Any]
    missing: dict[str, str]
    arrival: float

    @property
    def complete(self) -> bool:
        """Everything that is required is there."""
        return not self.missing


@dataclass
class Counts:
    """What became of one input.

    Attributes:
        matched: anchors that had it.
        missing: anchors that lacked it.
        came: messages that were taken.
        repeated: messages that were dropped, as one with their stamp was there.
        unusable: messages that could not be used.
        overflown: messages that were dropped, as `capacity` was reached within the window.
        offset: smallest difference to an anchor that was beyond the tolerance, signed: of the
            message less of the anchor [ns]; None: none was seen.
        reason: why it was missing last.
    """

    matched: int = 0
    missing: int = 0
    came: int = 0
    repeated: int = 0
    unusable: int = 0
    overflown: int = 0
    offset: int | None = None
    reason: str = ""


@dataclass
class _Pending:
    anchor: Any
    key: Hashable
    stamp: int
    epoch: Epoch
    arrival: int


@dataclass
class _Topic:
    input: Input
    counts: Counts = field(default_factory=Counts)
    streams: OrderedDict[Hashable, Stream] = field(default_factory=OrderedDict)


class Synchroniser:
    """Gives each anchor, in the order in which anchors come, with the messages that belong to it.

    Anchors are Steps, images of a leading camera, or VlaSignals. Of each input the message with the
    nearest stamp within the tolerance belongs to an anchor. It is final if the stamps are equal,
    once a message at or after the anchor's stamp has come from its source, or when the wait is
    over. With equal stamps an observation is given at once. An input is given up as soon as its
    source has passed the anchor's stamp by more than the tolerance.

    Stamps that go back begin a new epoch: nothing of one is matched with another. If an input and
    the anchors stay in different epochs for a second, because messages of somebody else came
    between, all begin anew. Time is handed in: live by a monotonic clock, offline by the bag's time
    of receipt. Not thread-safe.

    Args:
        inputs: that belong to an anchor.
        on_matched: called with each anchor, complete or not, from `add`, `add_anchor`, `tick` or
            `finish`.
        tolerance: largest difference of stamps [s]; 0: equal. Can be set while running.
        wait: an anchor waits so long for late messages [s]. Can be set while running.
        window: messages are kept so long after they came [s]; longer than the wait and than the
            policy's latency, where VlaSignals are the anchors.
        reordering: stamps of one source may go back by so much without beginning an epoch [s].
        capacity: anchors that wait at most; then the first one is given as it is.
        newest_wait: an anchor that no newer one has followed waits so long [s]: whoever sends them
            may stand still, or wait for the answer as an environment in lockstep; None: as `wait`.
        on_restart: called with a sentence when stamps have gone back.
    """

    def __init__(
        self,
        inputs: Iterable[Input],
        on_matched: Callable[[Matched], None],
        tolerance: float = 0.0,
        wait: float = 1.0,
        window: float = 10.0,
        reordering: float = 0.05,
        capacity: int = 256,
        newest_wait: float | None = None,
        on_restart: Callable[[str], None] | None = None,
    ):
        self._topics = {one.name: _Topic(one) for one in inputs}
        self._on_matched = on_matched
        self.tolerance = tolerance
        self.wait = wait
        self._window = round(NS * window)
        self._reordering = reordering
        self._capacity = capacity
        self._newest_wait = newest_wait
        self._on_restart = on_restart
        self.repeated_anchors = 0
        """Anchors ignored because one with the same key had come."""
        self.clear()

    @property
    def counts(self) -> dict[str, Counts]:
        """What became of each input so far, by name."""
        return {name: topic.counts for name, topic in self._topics.items()}

    @property
    def waiting(self) -> int:
        """Anchors that wait for messages."""
        return len(self._pending)

    def clear(self) -> None:
        """Forget messages and anchors without a word; counts stay. For a deactivation."""
        self._apart = ""
        self._episode: Hashable = None
        self._pending: deque[_Pending] = deque()
        self._keys: OrderedDict[Hashable, None] = OrderedDict()
        self._forget()

    def _forget(self) -> None:
        self._epochs = Epochs()
        self._anchors = Stream()
        for topic in self._topics.values():
            topic.streams.clear()

    def require(self, name: str, required: bool) -> None:
        """Say whether an input is waited for, such as when its publisher comes or goes."""
        self._topics[name].input.required = required

    def add(self, name: str, message: Any, now: float) -> None:
        """Take a stamped message.

        Args:
            name: of the input.
            message: with a header.
            now: time of arrival [s].

        Raises:
            KeyError: there is no such input.
        """
        if name not in self._topics:
            raise KeyError(f"unknown input '{name}'; known: {', '.join(sorted(self._topics))}")
        topic, arrival = self._topics[name], round(NS * now)
        stamp = nanoseconds(message.header.stamp)
        source = topic.input.source(message)
        stream = topic.streams.setdefault(source, Stream())
        if len(topic.streams) > SOURCES:
            del topic.streams[min(topic.streams, key=lambda key: topic.streams[key].arrival)]
            stream = topic.streams.setdefault(source, stream)
        slack = round(NS * max(self.tolerance, self._reordering))
        epoch, back = self._epochs.place(stream, stamp, arrival, slack)
        self._note_restart(name, back)
        lane = stream.lanes[epoch.index]
        counts = topic.counts
        counts.came += 1
        try:
            entry = Entry(stamp, arrival, message, topic.input.offers(message))
        except InvalidInputError as error:
            counts.unusable += 1
            entry = Entry(stamp, arrival, None, (), str(error))
        if (entry.offers or entry.problem) and not lane.add(entry):
            counts.repeated += 1
        counts.overflown += lane.prune(arrival - self._window, topic.input.capacity)
        self._release(arrival)

    def add_anchor(
        self, message: Any, now: float, key: Hashable = None, episode: Hashable = None
    ) -> bool:
        """Take an anchor.

        Args:
            message: with a header.
            now: time of arrival [s].
            key: repetitions of a key that is not None are dropped.
            episode: that it belongs to; in another episode than the anchor before, a stamp that is
                not newer begins an epoch, however little it goes back.

        Returns:
            Whether it was taken; False: a repetition.
        """
        if key is not None:
            if key in self._keys:
                self.repeated_anchors += 1
                return False
            self._keys[key] = None
            while len(self._keys) > _KEYS:
                self._keys.popitem(last=False)
        arrival, stamp = round(NS * now), nanoseconds(message.header.stamp)
        another = self._anchors.epoch is not None and episode != self._episode
        slack = -1 if another else round(NS * max(self.tolerance, self._reordering))
        epoch, back = self._epochs.place(self._anchors, stamp, arrival, slack)
        self._episode = episode
        self._note_restart("the anchor", back)
        self._pending.append(_Pending(message, key, stamp, epoch, arrival))
        while len(self._pending) > self._capacity:
            self._give(self._pending.popleft(), final=True)
        self._release(arrival)
        return True

    def tick(self, now: float) -> None:
        """Let time pass: give the anchors whose wait is over."""
        self._release(round(NS * now))

    def give(self, key: Hashable) -> None:
        """Give the anchors up to that of a key as they are, if it waits."""
        if any(pending.key == key for pending in self._pending):
            while self._pending:
                pending = self._pending.popleft()
                self._give(pending, final=True)
                if pending.key == key:
                    return

    def finish(self) -> None:
        """Give all anchors that wait, as they are: nothing more will come."""
        while self._pending:
            self._give(self._pending.popleft(), final=True)

    def problems(self) -> list[str]:
        """A sentence for each input that was missing: how often, why, and the offset seen."""
        found = []
        for name, topic in self._topics.items():
            counts = topic.counts
            if counts.missing:
                total = counts.missing + counts.matched
                found.append(f"{name} is missing at {counts.missing} of {total}: {counts.reason}")
        return found

    # Matching -----------------------------------------------------------------------------------

    def _note_restart(self, name: str, back: int) -> None:
        if not back:
            return
        streams = [stream for topic in self._topics.values() for stream in topic.streams.values()]
        self._epochs.forget([*streams, self._anchors])
        oldest = self._epochs.alive[0].index
        while self._pending and self._pending[0].epoch.index < oldest:
            self._give(self._pending.popleft(), final=True)
        if self._on_restart is not None:
            self._on_restart(f"stamps of {name} went back by {seconds_text(back)}")

    def _release(self, now: int) -> None:
        while self._pending:
            first = self._pending[0]
            wait = self.wait
            if self._newest_wait is not None and len(self._pending) == 1:
                wait = max(wait, self._newest_wait)
            if not self._give(first, final=now - first.arrival >= round(NS * wait)):
                break
            self._pending.popleft()
        if self._apart:
            name, self._apart = self._apart, ""
            self.finish()
            self._forget()
            if self._on_restart is not None:
                self._on_restart(f"stamps of {name} and of the anchor came apart: both begin anew")

    def _give(self, pending: _Pending, final: bool) -> bool:
        """Hand an anchor over if everything about it is decided, or must be."""
        values: dict[str, Any] = {}
        missing: dict[str, str] = {}
        offsets: dict[str, int] = {}
        for name, topic in self._topics.items():
            found, undecided = self._find(topic, pending, final)
            if undecided and topic.input.required:
                return False
            if len(found) == len(topic.input.needed):
                values[name] = topic.input.combine(found)
            elif topic.input.required:
                missing[name] = self._reason(topic, pending, found, offsets)
        self._apart = next((n for n in missing if self._is_apart(n, pending)), self._apart)
        for name, topic in self._topics.items():
            counts = topic.counts
            if name in values:
                counts.matched += 1
            elif name in missing:
                counts.missing += 1
                counts.reason = missing[name]
                offset = offsets.get(name)
                if offset is not None and (
                    counts.offset is None or abs(offset) < abs(counts.offset)
                ):
                    counts.offset = offset
        arrival = pending.arrival / NS
        self._on_matched(
            Matched(pending.anchor, pending.key, pending.stamp, values, missing, arrival)
        )
        return True

    def _is_apart(self, name: str, pending: _Pending) -> bool:
        """Whether an input that comes is in another epoch than the anchors, and both for long."""
        if self._anchors.epoch is not pending.epoch:
            return False
        long_ago = pending.arrival - _APART
        return self._anchors.entered <= long_ago and any(
            stream.epoch is not None
            and stream.epoch is not pending.epoch
            and stream.entered <= long_ago < stream.arrival
            for stream in self._topics[name].streams.values()
        )

    def _find(self, topic: _Topic, pending: _Pending, final: bool) -> tuple[dict[str, Any], bool]:
        """The message of each part that is there, and whether something may still come."""
        tolerance = round(NS * self.tolerance)
        lanes = [
            lane
            for stream in topic.streams.values()
            if (lane := stream.lanes.get(pending.epoch.index)) is not None
        ]
        # A source that has gone on to another epoch sends nothing of this one any more.
        gone = bool(topic.streams) and all(
            stream.epoch is not None and stream.epoch.index > pending.epoch.index
            for stream in topic.streams.values()
        )
        found: dict[str, Any] = {}
        undecided = False
        for part in topic.input.needed:
            mine = [lane for lane in lanes if part in lane.parts]
            best: Entry | None = None
            for lane in mine:
                entry = _nearest(lane, pending.stamp, tolerance, part)
                if entry is not None and (
                    best is None
                    or abs(entry.stamp - pending.stamp) < abs(best.stamp - pending.stamp)
                ):
                    best = entry
            if best is not None:
                found[part] = best.message
                passed = best.stamp == pending.stamp or any(
                    lane.newest >= pending.stamp for lane in mine
                )
            else:
                # A part that no source has offered in this epoch is judged by all sources.
                passed = any(
                    lane.newest > pending.stamp + tolerance
                    or _broken(lane, pending.stamp, tolerance) is not None
                    for lane in mine or lanes
                )
            undecided = undecided or not (passed or gone or final)
        return found, undecided

    def _reason(
        self, topic: _Topic, pending: _Pending, found: dict[str, Any], offsets: dict[str, int]
    ) -> str:
        tolerance = round(NS * self.tolerance)
        parts = [part for part in topic.input.needed if part not in found]
        nearest: int | None = None
        for stream in topic.streams.values():
            lane = stream.lanes.get(pending.epoch.index)
            if lane is None:
                continue
            broken = _broken(lane, pending.stamp, tolerance)
            if broken is not None:
                return broken.problem
            for entry in lane.near(pending.stamp):
                if any(part in entry.offers for part in parts):
                    offset = entry.stamp - pending.stamp
                    if nearest is None or abs(offset) < abs(nearest):
                        nearest = offset
                    break
        if nearest is None:
            return topic.input.lacking(parts)
        offsets[topic.input.name] = nearest
        side = "after" if nearest > 0 else "before"
        return (
            f"its nearest stamp is {seconds_text(abs(nearest))} {side} the observation's, and the "
            f"tolerance is {seconds_text(tolerance)}: set the stamp tolerance to at least "
            f"{abs(nearest) / NS:.4g} s"
        )


def _nearest(lane: Lane, stamp: int, tolerance: int, part: str) -> Entry | None:
    for entry in lane.near(stamp):
        if abs(entry.stamp - stamp) > tolerance:
            return None
        if part in entry.offers:
            return entry
    return None


def _broken(lane: Lane, stamp: int, tolerance: int) -> Entry | None:
    """A message of this stamp that cannot be used."""
    for entry in lane.near(stamp):
        if abs(entry.stamp - stamp) > tolerance:
            return None
        if entry.problem:
            return entry
    return None
