# SPDX-License-Identifier: Apache-2.0
"""Puts the messages of a step together, and steps into episodes, in whatever order they come.

No ROS in here but the messages' header, episode and step fields; time is handed in.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from salus_core.messages import Input, Matched, Synchroniser, nanoseconds

STEP = "step"

JOIN_STEPS = 10
"""An episode of which fewer first steps than these were lost is recorded, with gaps."""

MAX_AHEAD = 1000
"""Steps that a message or an end may be ahead of what has come of its episode: no number in one
message makes rows by the million."""

MAX_EPISODES = 16
"""Episodes of which messages are kept at a time."""

BEGUN_STEPS = 2
"""Steps of a world that say that an episode has begun; one message may be a mistake."""

IDLE = 30.0
"""An episode that has not begun by then is none [s]."""


@dataclass
class StepMessages:
    """What has come for one step.

    Attributes:
        step: its number.
        stamp: of its observation [ns]; None: not known yet.
        anchor: key of its Step in the Synchroniser; None: no Step has come.
        messages: by topic.
    """

    step: int
    stamp: int | None = None
    anchor: Any = None
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
    since: float | None = None
    seen_steps: int = 0
    begun: bool = False
    status: Any | None = None
    length: int | None = None
    deadline: float | None = None
    expired: bool = False


class EpisodeAssembler:
    """Puts messages together by (episode, step), or by stamp, and hands over rows in order.

    A Synchroniser finds what belongs to a step by its stamp.

    A row is handed over when everything is there, or when `max_step_lag` later steps have begun. An
    episode ends when its status says so and all its rows are complete, or `grace` seconds later. So
    in lockstep what is recorded depends on what was sent only, not on when it came.

    Args:
        sink: where rows go.
        required: topics without which a row has a gap; `step` is always one.
        inputs: topics whose messages are known by their stamps only.
        optional: topics that are waited for as long as `expected` holds them.
        max_step_lag: steps that a row waits for its messages.
        grace: time that an episode's end waits for messages [s].
        capacity: steps that are held at most, because messages are missing or the sink has no room;
            messages of further ones are refused and counted.
        tolerance: largest difference of stamps [s]; 0: equal.
        wait: a step waits so long for messages that are known by their stamps [s].
        on_restart: called with a sentence when stamps have gone back.
    """

    def __init__(
        self,
        sink: Sink,
        required: Iterable[str],
        inputs: Iterable[Input] = (),
        optional: Iterable[str] = (),
        max_step_lag: int = 100,
        grace: float = 3.0,
        capacity: int = 256,
        tolerance: float = 0.0,
        wait: float = 3.0,
        on_restart: Callable[[str], None] | None = None,
    ):
        self.required = frozenset(required) | {STEP}
        self.optional = frozenset(optional)
        self.expected: set[str] = set()
        """Optional topics that somebody publishes."""
        self.duplicates = 0
        """Messages with a step that were ignored because the same had come before."""
        self.late = 0
        """Messages ignored because their row or episode was done."""
        self.refused = 0
        """Messages ignored because too many steps were waiting, or their numbers lead astray."""
        inputs = tuple(inputs)
        self._stamped = frozenset(one.name for one in inputs)
        self.matching = Synchroniser(
            inputs,
            self._on_matched,
            tolerance=tolerance,
            wait=wait,
            window=max(10.0, 2 * wait),
            capacity=2 * capacity,
            on_restart=on_restart,
        )
        """What has become of the topics that are known by their stamps only."""
        self._sink = sink
        self._max_step_lag = max_step_lag
        self._grace = grace
        self.capacity = capacity
        self._paused = False
        self._episodes: dict[int, _Episode] = {}
        self._finished = -1
        self._skipped: set[int] = set()
        self._anchors = 0

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

    def end_known(self) -> bool:
        """End the episodes whose outcome is known, with what has come of their last steps.

        Returns:
            Nothing is left of them; else the sink has no room now.
        """
        self.matching.finish()
        for episode in self._episodes.values():
            episode.expired |= episode.status is not None
        self._release()
        return all(episode.status is None for episode in self._episodes.values())

    def pause(self) -> None:
        """Stop at once and discard the episode in progress: with a hole it is no episode."""
        self.end_known()
        self._paused = True
        self.matching.clear()
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
        """Forget everything, and that episodes with these numbers have been.

        Those whose end is known are handed over first, with what has come of their last steps.
        """
        self.end_known()
        for number, episode in self._episodes.items():
            if episode.begun:
                self._sink.discard(number, reason)
        self._episodes.clear()
        self._skipped.clear()
        self.matching.clear()
        self._finished = -1

    # Input --------------------------------------------------------------------------------------

    def add_step(self, message: Any, now: float) -> None:
        """Take a Step: messages of its stamp belong to it.

        Args:
            message: with header, episode and step.
            now: [s].
        """
        row = self._row(message.episode, message.step)
        if row is None:
            return
        if STEP in row.messages:
            self.duplicates += 1
            return
        row.messages[STEP] = True
        row.stamp = nanoseconds(message.header.stamp)
        self._episodes[message.episode].seen_steps += 1
        self._anchors += 1
        row.anchor = (self._anchors, message.episode, message.step)
        self.matching.add_anchor(message, now, row.anchor, message.episode)
        self._release()

    def add(self, topic: str, episode: int, step: int, message: Any) -> None:
        """Take a message that names its step."""
        row = self._row(episode, step)
        if row is not None:
            self._put(row, topic, message)

    def add_stamped(self, topic: str, message: Any, now: float) -> None:
        """Take a message that is known by its stamp only.

        Args:
            topic: one of the inputs.
            message: with a header.
            now: [s].
        """
        if not self._paused:
            self.matching.add(topic, message, now)
            self._release()

    def expect(self, topic: str, published: bool) -> None:
        """Say whether somebody publishes a topic that is not required."""
        (self.expected.add if published else self.expected.discard)(topic)
        if topic in self._stamped:
            self.matching.require(topic, published or topic in self.required)

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
        if status.step > state.newest_step + 1 + MAX_AHEAD:
            self._refuse(
                f"the status of episode {episode} ends it at step {status.step}, but step "
                f"{state.newest_step} is the last one that came: it is ignored"
            )
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
        self.matching.tick(now)
        for number, episode in sorted(self._episodes.items()):
            episode.since = now if episode.since is None else episode.since
            later = any(
                number < other and (one.begun or one.seen_steps >= BEGUN_STEPS)
                for other, one in self._episodes.items()
            )
            if episode.deadline is None and later:
                episode.deadline = now + self._grace  # a later one has begun: its end was lost
            elif episode.seen_steps < BEGUN_STEPS and now - episode.since > IDLE:
                self._skip(number, "it did not begin")
        numbers = sorted(self._episodes)
        if numbers:
            first = self._episodes[numbers[0]]
            if first.deadline is not None and now >= first.deadline:
                first.expired = True
                if first.length is None:
                    first.length = self._whole_steps(first)
        self._release()

    # Matching -----------------------------------------------------------------------------------

    def _on_matched(self, matched: Matched) -> None:
        _, episode, step = matched.key
        row = self._row(episode, step)
        if row is not None:
            row.messages.update(matched.values)

    def _episode(self, number: int) -> _Episode | None:
        if number <= self._finished or number in self._skipped:
            self.late += 1
            return None
        if self._paused:
            self._skipped.add(number)
            if len(self._skipped) > MAX_AHEAD:
                self._skipped.remove(min(self._skipped))
            return None
        if number not in self._episodes and len(self._episodes) >= MAX_EPISODES:
            self.refused += 1
            return None
        return self._episodes.setdefault(number, _Episode())

    def _row(self, number: int, step: int) -> StepMessages | None:
        episode = self._episode(number)
        if episode is None:
            return None
        if step < episode.next_step:
            self.late += 1
            return None
        if step > episode.newest_step + MAX_AHEAD:
            self._refuse(
                f"a message of episode {number} names step {step}, but step {episode.newest_step} "
                "is the last one that came: it is ignored"
            )
            return None
        if step not in episode.rows:
            if self.waiting >= self.capacity:
                self.refused += 1
                return None
            episode.rows[step] = StepMessages(step)
            episode.newest_step = max(episode.newest_step, step)
        return episode.rows[step]

    def _refuse(self, problem: str) -> None:
        self.refused += 1
        self._sink.report(problem)

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
            if row is not None and not self._whole(row):
                self.matching.give(row.anchor)  # it waits no longer, so neither does its stamp
            if not episode.begun and not self._begin(number, episode):
                return number not in self._episodes
            if row is not None and not self._sink.row(number, row):
                return False
            episode.rows.pop(episode.next_step, None)
            episode.next_step += 1
        if episode.begun:
            self._sink.end(number, episode.status, episode.length)
            del self._episodes[number]
            self._finished = number
        else:
            # It does not count as the last one: its number may be a mistake.
            self._skip(number, "it ended before its first step")
        self._skipped = {skipped for skipped in self._skipped if skipped >= number}
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
