# SPDX-License-Identifier: Apache-2.0
"""Puts the messages of a step together, and steps into episodes, in whatever order they come.

No ROS in here but the messages' header, episode and step fields; time is handed in.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

STEP = "step"

RESTART = 100_000_000
"""A stamp this far before the newest of its topic says that the clock was started anew [ns]."""

JOIN_STEPS = 10
"""An episode of which fewer first steps than these were lost is recorded, with gaps."""


@dataclass
class StepMessages:
    """What has come for one step.

    Attributes:
        step: its number.
        stamp: of its observation [ns]; None: not known yet.
        messages: by topic.
    """

    step: int
    stamp: int | None = None
    messages: dict[str, Any] = field(default_factory=dict)


class Sink(Protocol):
    """Where the assembler hands over to; none of these may block."""

    def begin(self, episode: int) -> bool:
        """Begin an episode; False if what describes it has not come yet."""

    def row(self, episode: int, row: StepMessages) -> bool:
        """Take the next step of the episode; False if there is no room: it is offered again.

        Steps may be left out, never repeated.
        """

    def end(self, episode: int, status: Any | None, length: int) -> None:
        """End the episode after `length` steps; status None: its end never came."""

    def discard(self, episode: int, reason: str) -> None:
        """Forget the episode."""

    def report(self, message: str) -> None:
        """Tell people about an episode that is not recorded."""


@dataclass
class _Episode:
    rows: dict[int, StepMessages] = field(default_factory=dict)
    next_step: int = 0
    newest_step: int = -1
    begun: bool = False
    status: Any | None = None
    length: int | None = None
    deadline: float | None = None
    expired: bool = False


class EpisodeAssembler:
    """Matches messages by (episode, step), or by stamp, and hands over whole rows in order.

    A row is handed over when everything is there, or when `max_step_lag` later steps have begun. An
    episode ends when its status says so and all its rows are complete, or `grace` seconds later. So
    in lockstep what is recorded depends on what was sent only, not on when it came.

    Args:
        sink: where rows go.
        required: topics without which a row has a gap; `step` is always one.
        optional: topics that are waited for as long as `expected` holds them.
        max_step_lag: steps that a row waits for its messages.
        grace: time that an episode's end waits for messages [s].
        capacity: steps that are held at most, because messages are missing or the sink has no room;
            messages of further ones are refused and counted.
    """

    def __init__(
        self,
        sink: Sink,
        required: Iterable[str],
        optional: Iterable[str] = (),
        max_step_lag: int = 100,
        grace: float = 3.0,
        capacity: int = 256,
    ):
        self.required = frozenset(required) | {STEP}
        self.optional = frozenset(optional)
        self.expected: set[str] = set()
        """Optional topics that somebody publishes."""
        self.duplicates = 0
        """Messages ignored because the same had come before."""
        self.late = 0
        """Messages ignored because their row or episode was done."""
        self.refused = 0
        """Messages ignored because too many steps were waiting."""
        self._sink = sink
        self._max_step_lag = max_step_lag
        self._grace = grace
        self.capacity = capacity
        self._paused = False
        self._episodes: dict[int, _Episode] = {}
        self._finished = -1
        self._skipped: set[int] = set()
        self._steps_by_stamp: OrderedDict[tuple[int, int], tuple[int, int]] = OrderedDict()
        self._unmatched: OrderedDict[tuple[int, int], dict[str, Any]] = OrderedDict()
        self._clocks: dict[str, tuple[int, int]] = {}

    @property
    def recording(self) -> bool:
        """An episode is in progress and being recorded."""
        return any(episode.begun for episode in self._episodes.values())

    @property
    def waiting(self) -> int:
        """Steps that are held."""
        return sum(len(episode.rows) for episode in self._episodes.values())

    @property
    def finished(self) -> int:
        """Number of the latest episode that has ended; -1: none has."""
        return self._finished

    @property
    def paused(self) -> bool:
        """Nothing is recorded."""
        return self._paused

    def pause(self) -> None:
        """Stop at once and discard the episode in progress: with a hole it is no episode."""
        self._paused = True
        for number in list(self._episodes):
            self._skip(number, "recording was paused")

    def resume(self) -> None:
        """Record from the next episode's beginning on."""
        self._paused = False

    def give_up(self, topic: str, reason: str) -> None:
        """Discard the episodes that have not ended and of which messages of a topic have come."""
        for number, episode in list(self._episodes.items()):
            came = episode.begun or any(topic in row.messages for row in episode.rows.values())
            if came and episode.status is None:
                self._skip(number, reason)

    def clear(self, reason: str) -> None:
        """Forget everything, and that episodes with these numbers have been."""
        for number, episode in self._episodes.items():
            if episode.begun:
                self._sink.discard(number, reason)
        self._episodes.clear()
        self._skipped.clear()
        self._steps_by_stamp.clear()
        self._unmatched.clear()
        self._clocks.clear()
        self._finished = -1

    # Input --------------------------------------------------------------------------------------

    def add_step(self, episode: int, step: int, stamp: int) -> None:
        """Take a Step: from now on the messages of this stamp belong to it."""
        row = self._row(episode, step)
        if row is None:
            return
        if STEP in row.messages:
            self.duplicates += 1
            return
        row.messages[STEP] = True
        row.stamp = stamp
        key = self._key(STEP, stamp)
        self._steps_by_stamp[key] = (episode, step)
        while len(self._steps_by_stamp) > 2 * self.capacity:
            self._steps_by_stamp.popitem(last=False)
        for topic, message in self._unmatched.pop(key, {}).items():
            row.messages.setdefault(topic, message)
        self._release()

    def add(self, topic: str, episode: int, step: int, message: Any) -> None:
        """Take a message that names its step."""
        row = self._row(episode, step)
        if row is not None:
            self._put(row, topic, message)

    def add_stamped(self, topic: str, stamp: int, message: Any) -> None:
        """Take a message that is known by its stamp only."""
        if self._paused:
            return
        key = self._key(topic, stamp)
        place = self._steps_by_stamp.get(key)
        if place is not None:
            self.add(topic, *place, message)
            return
        waiting = self._unmatched.setdefault(key, {})
        if topic in waiting:
            self.duplicates += 1
            return
        waiting[topic] = message
        while len(self._unmatched) > self.capacity:
            self.late += len(self._unmatched.popitem(last=False)[1])

    def add_end(self, episode: int, status: Any, now: float) -> None:
        """Take the status of an episode that has ended; `status.step` is its length.

        Args:
            episode: its number.
            status: handed on to the sink.
            now: [s].
        """
        state = self._episode(episode)
        if state is None or state.status is not None:
            return
        state.status = status
        state.length = status.step
        state.deadline = now + self._grace
        self._release()

    def tick(self, now: float) -> None:
        """Let time pass: end what has waited long enough, offer again what had no room.

        Args:
            now: [s].
        """
        numbers = sorted(self._episodes)
        for number in numbers:
            episode = self._episodes[number]
            if episode.deadline is None and number != numbers[-1]:
                episode.deadline = now + self._grace  # a later one has begun: its end was lost
        if numbers:
            first = self._episodes[numbers[0]]
            if first.deadline is not None and now >= first.deadline:
                first.expired = True
                if first.length is None:
                    first.length = self._whole_steps(first)
        self._release()

    # Matching -----------------------------------------------------------------------------------

    def _key(self, topic: str, stamp: int) -> tuple[int, int]:
        """A stamp with the number of times that its topic's clock was started anew.

        So a message never belongs to a step of an earlier or later run of the clock, in whatever
        order the topics tell that it was started anew.
        """
        steps = self._clocks.get(STEP, (0, stamp))[0]
        restarts, newest = self._clocks.get(topic, (steps, stamp))
        if stamp < newest - RESTART:
            restarts, newest = max(restarts + 1, steps), stamp
        self._clocks[topic] = (restarts, max(newest, stamp))
        return restarts, stamp

    def _episode(self, number: int) -> _Episode | None:
        if number <= self._finished or number in self._skipped:
            self.late += 1
            return None
        if self._paused:
            self._skipped.add(number)
            return None
        return self._episodes.setdefault(number, _Episode())

    def _row(self, number: int, step: int) -> StepMessages | None:
        episode = self._episode(number)
        if episode is None:
            return None
        if step < episode.next_step:
            self.late += 1
            return None
        if step not in episode.rows:
            if self.waiting >= self.capacity:
                self.refused += 1
                return None
            episode.rows[step] = StepMessages(step)
            episode.newest_step = max(episode.newest_step, step)
        return episode.rows[step]

    def _put(self, row: StepMessages, topic: str, message: Any) -> None:
        if topic in row.messages:
            self.duplicates += 1
            return
        row.messages[topic] = message
        self._release()

    def _whole(self, row: StepMessages | None) -> bool:
        if row is None:
            return False
        wanted = self.required | (self.optional & self.expected)
        return wanted <= row.messages.keys()

    # Output -------------------------------------------------------------------------------------

    def _release(self) -> None:
        while self._episodes:
            number = min(self._episodes)
            episode = self._episodes[number]
            if not self._release_rows(number, episode):
                return

    def _release_rows(self, number: int, episode: _Episode) -> bool:
        """Hand over what can be; True if the episode is done with."""
        while episode.length is None or episode.next_step < episode.length:
            row = episode.rows.get(episode.next_step)
            given_up = episode.newest_step - episode.next_step >= self._max_step_lag
            if not (self._whole(row) or given_up or episode.expired):
                return False
            if not episode.begun and not self._begin(number, episode):
                return number not in self._episodes
            if row is not None and not self._sink.row(number, row):
                return False
            episode.rows.pop(episode.next_step, None)
            episode.next_step += 1
        if episode.begun:
            self._sink.end(number, episode.status, episode.length)
            del self._episodes[number]
        else:
            self._skip(number, "it ended before its first step")
        self._skipped = {skipped for skipped in self._skipped if skipped > number}
        self._finished = number
        return True

    def _begin(self, number: int, episode: _Episode) -> bool:
        # A recorder that joins in the middle would make up an episode.
        if min(episode.rows, default=JOIN_STEPS) >= JOIN_STEPS:
            self._skip(number, "its beginning was missed")
            return False
        episode.begun = self._sink.begin(number)
        if not episode.begun and episode.expired:
            self._skip(number, "what describes it never came (episode_setup, signal_info)")
        return episode.begun

    def _whole_steps(self, episode: _Episode) -> int:
        whole = [step for step, row in episode.rows.items() if self._whole(row)]
        return max([episode.next_step, *(step + 1 for step in whole)])

    def _skip(self, number: int, reason: str) -> None:
        episode = self._episodes.pop(number)
        self._skipped.add(number)
        if episode.begun:
            self._sink.discard(number, reason)
        else:
            self._sink.report(f"episode {number} is not recorded: {reason}")
