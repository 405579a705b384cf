# SPDX-License-Identifier: Apache-2.0
"""Tells episodes apart, whatever their numbers and stamps do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from salus_core.failures import BUILT_IN, OTHER_FAILURE, Outcome, Taxonomy, TaxonomyError
from salus_core.messages.checks import InvalidInputError
from salus_core.messages.stamps import nanoseconds

_STAMPS = 65536
"""Stamps of steps that are remembered of one episode; longer ones are told by step numbers."""


@dataclass
class Episode:
    """One episode.

    Attributes:
        position: 0, 1, 2, ... in the order in which episodes began; never repeats.
        number: that messages give it; repeats when whoever counts is started anew.
        setup: its last EpisodeSetup; None: none came.
        status: its last EpisodeStatus; None: none came.
        stamps: of its steps [ns], by step.
    """

    position: int
    number: int
    setup: Any = None
    status: Any = None
    stamps: dict[int, int] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Its status says that it is over."""
        return self.status is not None and self.status.state != Outcome.RUNNING


@dataclass
class _Topic:
    episode: Episode | None = None
    step: int = -1
    stamp: int = 0


class EpisodeTracker:
    """Finds the episode of each message; keeps setup and status per episode, never 'the latest'.

    Messages of one topic come in the order in which they were sent, those of several topics in
    any order. A topic begins another episode when the number changes, or when its steps or stamps
    go back under the same number. If another topic has begun an episode of that number meanwhile,
    it is that one.

    Args:
        keep: episodes that are remembered; None: all, as for a bag.
        on_restart: called with a sentence when numbers do not count up.
    """

    def __init__(self, keep: int | None = 16, on_restart: Callable[[str], None] | None = None):
        self.episodes: list[Episode] = []
        """The last ones, in the order in which they began."""
        self._keep = keep
        self._on_restart = on_restart
        self._begun = 0
        self._topics: dict[str, _Topic] = {}
        self._again: Episode | None = None

    def setup(self, message: Any) -> Episode:
        """Take an EpisodeSetup; returns its episode."""
        topic = self._topics.setdefault("episode_setup", _Topic())
        episode, stamp = topic.episode, nanoseconds(message.header.stamp)
        repeated = (
            episode is not None
            and episode.number == message.episode
            and not episode.ended
            and (topic.stamp, episode.setup.seed) == (stamp, message.seed)
        )
        if not repeated:
            episode = self._another(topic, message.episode, lambda e: e.setup is None)
        topic.episode, topic.stamp = episode, stamp
        episode.setup = message
        return episode

    def status(self, message: Any) -> Episode:
        """Take an EpisodeStatus; returns its episode."""
        topic = self._topics.setdefault("episode", _Topic())
        episode = topic.episode
        same = episode is not None and episode.number == message.episode
        if same and message.state == Outcome.RUNNING:
            known = episode.status
            stamp, old = nanoseconds(message.header.stamp), nanoseconds(known.header.stamp)
            same = not episode.ended and known.seed == message.seed
            repeated = same and (message.step, stamp) == (known.step, old)
            same = repeated or (same and message.step > known.step and stamp >= old)
            if repeated and episode.stamps:
                # By a new subscription, or by a world that was started anew: steps tell.
                self._again = episode
                same = self._newest(message.episode) is episode
        if not same:
            newest = self._newest(message.episode)
            if newest is not None and newest.status is None and self._is_in(newest):
                # Also if the first status that came was of the episode before.
                episode = newest
            else:
                episode = self._another(topic, message.episode, lambda e: e.status is None)
        topic.episode = episode
        episode.status = message
        return episode

    def step(self, topic: str, message: Any) -> Episode:
        """Take a message that names its episode and step, such as Step or VlaSignals.

        Args:
            topic: that it came on.
            message: with header, episode and step.

        Returns:
            Its episode.
        """
        known = self._topics.setdefault(topic, _Topic())
        stamp, number, step = nanoseconds(message.header.stamp), message.episode, message.step
        episode = known.episode
        if episode is not None and episode.number == number:
            again = (step, stamp) == (known.step, known.stamp)
            back = not again and (step <= known.step or (stamp and stamp < known.stamp))
        else:
            back = True
        first = -1 if episode is None else episode.position + (1 if back else 0)
        found = next(
            (
                one
                for one in reversed(self.episodes)
                if one.number == number and one.position >= first and one.stamps.get(step) == stamp
            ),
            None,
        )
        if found is None and back:
            found = self._resumed(number, step, stamp) or self._another(
                known, number, lambda one: not one.ended
            )
        found = found or episode
        again, self._again = self._again, None
        if again is not None and found.status is None and found.number == again.number:
            found.status, found.setup = again.status, found.setup or again.setup
            self._topics["episode"].episode = found
        known.episode, known.step, known.stamp = found, step, stamp
        if len(found.stamps) < _STAMPS:
            found.stamps.setdefault(step, stamp)
        return found

    def _newest(self, number: int) -> Episode | None:
        return next((one for one in reversed(self.episodes) if one.number == number), None)

    def _is_in(self, episode: Episode) -> bool:
        """Some topic is in this episode now."""
        return any(topic.episode is episode for topic in self._topics.values())

    def _resumed(self, number: int, step: int, stamp: int) -> Episode | None:
        """The newest episode of a number, if it runs and a step goes on with it.

        So that one message with another number, by mistake or by malice, ends no episode.
        """
        one = self._newest(number)
        if one is None or one.status is None or one.ended or step in one.stamps:
            return None
        before = max((known for known in one.stamps if known < step), default=None)
        return None if before is None or stamp <= one.stamps[before] else one

    def _another(self, topic: _Topic, number: int, fits: Callable[[Episode], bool]) -> Episode:
        """The newest episode of a number after that of a topic, or a new one."""
        after = -1 if topic.episode is None else topic.episode.position
        for episode in reversed(self.episodes):
            if episode.number == number and episode.position > after:
                # Whatever its end says, it began after what this topic has seen.
                if topic.episode is not None or fits(episode):
                    return episode
                break
        return self._begin(number)

    def _begin(self, number: int) -> Episode:
        before = self.episodes[-1] if self.episodes else None
        episode = Episode(self._begun, number)
        self._begun += 1
        self.episodes.append(episode)
        if self._keep is not None:
            del self.episodes[: -self._keep]
        if before is not None and number <= before.number and self._on_restart is not None:
            self._on_restart(
                f"episode {number} begins after episode {before.number}: whoever counts episodes "
                "was started anew"
            )
        return episode


def outcome(status: Any) -> Outcome:
    """How an episode stands.

    Args:
        status: EpisodeStatus.

    Raises:
        InvalidInputError: there is no such state.
    """
    try:
        return Outcome(status.state)
    except ValueError as error:
        raise InvalidInputError(
            f"episode {status.episode}: EpisodeStatus.state is {status.state}; expected 0 "
            "(running), 1 (succeeded), 2 (failed) or 3 (aborted)"
        ) from error


def failure_name(status: Any, taxonomy: Taxonomy = BUILT_IN) -> str:
    """The type of an episode's failure, by its name or its code; empty: it did not fail.

    Args:
        status: EpisodeStatus; of older versions, without `failure_name`, too.
        taxonomy: the types that are known.

    Raises:
        InvalidInputError: there is no such type, or state and failure contradict each other.
    """
    where = f"episode {status.episode}: EpisodeStatus"
    named, code = getattr(status, "failure_name", ""), int(status.failure)
    try:
        if not named and code == OTHER_FAILURE:
            raise TaxonomyError(f"failure is {OTHER_FAILURE} (other), but failure_name is empty")
        name = taxonomy.names[taxonomy.code(named) - 1] if named else taxonomy.name(code)
    except TaxonomyError as error:
        field_name = "failure_name" if named else "failure"
        raise InvalidInputError(
            f"{where}.{field_name}: {error}; correct what publishes 'episode', or add the type to "
            "the failure types (failure_types in a YAML file)"
        ) from error
    failed = status.state == Outcome.FAILED
    if failed != bool(name):
        raise InvalidInputError(
            f"{where}.state is {status.state}, but failure is '{name or 'none'}': a failed episode "
            "needs a type, any other has none"
        )
    return name
