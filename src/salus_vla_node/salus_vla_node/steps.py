# SPDX-License-Identifier: Apache-2.0
"""Which observations are steps, their numbers, and when a step is acted on."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

from salus_msgs.msg import EpisodeStatus, Step
from sensor_msgs.msg import Image

from salus_core.messages import Episode, EpisodeTracker, Matched, nanoseconds

Act = Callable[[Matched, Step, str], None]
"""Called with what is to be acted on, its Step, and the episode's instruction."""

Key = tuple[int, int]
"""Position of an episode, which never repeats, and number of a step."""

REORDERING = 0.05
"""An image so much older than the last one came late; one that is older still begins anew [s]."""


def key_of(matched: Matched) -> Key:
    """The key that its anchor was placed with."""
    return cast(Key, matched.key)


class TopicSteps:
    """Steps that a world numbers, acted on while their episode runs, by its status.

    Args:
        act: see Act.
        drop: called for each step that is given up as its episode's status never came.
        keep: steps that wait for a status at most.
        on_restart: called with a sentence when numbers do not count up.
    """

    def __init__(
        self, act: Act, drop: Callable[[], None], keep: int, on_restart: Callable[[str], None]
    ):
        self._act = act
        self._drop = drop
        self._keep = keep
        self._tracker = EpisodeTracker(on_restart=on_restart)
        self._waiting: deque[tuple[Step, Key]] = deque()

    def place(self, step: Step) -> list[tuple[Step, Key]]:
        """Take a step; returns those that are due now, with position of the episode and number."""
        episode = self._tracker.step("step", step)
        if any((step, episode.position) == (one, key[0]) for one, key in self._waiting):
            return []
        if episode.status is None and len(self._waiting) == self._keep:
            self._waiting.popleft()
            self._drop()
        self._waiting.append((step, (episode.position, step.step)))
        return self._due()

    def status(self, status: EpisodeStatus) -> list[tuple[Step, Key]]:
        """Take a status; returns the steps that have waited for it."""
        self._tracker.status(status)
        return self._due()

    def _due(self) -> list[tuple[Step, Key]]:
        due: list[tuple[Step, Key]] = []
        waiting: deque[tuple[Step, Key]] = deque()
        for step, key in self._waiting:
            episode = self._episode(key[0])
            if episode is not None and episode.status is None:
                waiting.append((step, key))
            elif episode is not None and _is_due(episode, step.step):
                due.append((step, key))
        self._waiting = waiting
        return due

    def _episode(self, position: int) -> Episode | None:
        episodes = self._tracker.episodes
        return next((one for one in episodes if one.position == position), None)

    def give(self, matched: Matched) -> None:
        """Act on a complete observation, unless its episode is over meanwhile."""
        position, number = key_of(matched)
        episode = self._episode(position)
        if episode is not None and _is_due(episode, number):
            self._act(matched, matched.anchor, episode.status.instruction)

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()


def _is_due(episode: Episode, number: int) -> bool:
    # The last step of an episode is acted on however early its end becomes known, so that
    # recordings do not depend on the order of arrival.
    return not episode.ended or number <= episode.status.step


class ImageSteps:
    """Every new image of the leading camera is a step, for robots that number none.

    Args:
        act: see Act.
        episodes: gives each episode its number; `clear` begins one, as do stamps that go back.
            None: episodes begin and end as their status says.
    """

    def __init__(self, act: Act, episodes: Iterator[int] | None):
        self._act = act
        self._episodes = episodes
        self._running: EpisodeStatus | None = None
        self._position = 0
        self._step = 0
        self.newest: int | None = None
        """Stamp of the newest image [ns]; None: none has come since an episode began."""
        self.repeated = 0
        """Images that were dropped, as theirs or a newer stamp had come."""
        self.clear()

    def clear(self) -> None:
        """The next image begins an episode, or goes on with the one whose status says it runs."""
        self.newest = None
        if self._episodes is not None:
            self._step = 0

    def status(self, status: EpisodeStatus) -> None:
        """Take a status: one that runs begins an episode, any other ends it."""
        if self._episodes is not None:
            return
        before = self._running
        ended = status.state != EpisodeStatus.STATE_RUNNING
        self._running = None if ended else status
        anew = before is None or before.episode != status.episode
        if self._running is not None and anew:
            self._position += 1
            self._step = 0
            self.newest = None

    def place(self, image: Image) -> Key | None:
        """Position of its episode and number of its step; None: it is no step."""
        stamp = nanoseconds(image.header.stamp)
        if self.newest is not None and stamp <= self.newest:
            if self.newest - stamp <= 1e9 * REORDERING:
                self.repeated += 1
                return None
            if self._episodes is not None:
                self.clear()
        if self._episodes is not None and self.newest is None:
            self._running = EpisodeStatus(episode=next(self._episodes))
            self._position += 1
        self.newest = stamp
        if self._running is None:
            return None
        self._step += 1
        return self._position, self._step - 1

    def give(self, matched: Matched) -> None:
        """Act on a complete observation, unless its episode is over meanwhile."""
        running = self._running
        if running is not None and key_of(matched)[0] == self._position:
            self._act(matched, self.step(matched.anchor, key_of(matched)), running.instruction)

    def step(self, image: Image, key: Key) -> Step:
        """The Step that an image stands for."""
        episode = self._running.episode if self._running is not None else 0
        return Step(header=image.header, episode=episode, step=key[1])
