# SPDX-License-Identifier: Apache-2.0
"""Steps for robots that number none: every image of one camera is a step."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from salus_msgs.msg import Step

from salus_ros.stepsync import Observation, nanoseconds


class ImageStepSync:
    """Completes an observation at every image of the leading camera, from the latest of the rest.

    On a robot, cameras, joints and tool pose have stamps of their own: those within a tolerance
    make one observation. An image without them is a lost step: its number stays unused.

    Args:
        leader: Key whose images are the steps.
        keys: Names of all messages that an observation needs, with the leader.
        tolerance: Gives the largest difference between a stamp and the leader's [s].
        on_complete: Called with each complete observation.
        on_incomplete: Called with each other one and the names that it lacks.
        episodes: Gives each episode its number; `clear` begins the first.
    """

    def __init__(
        self,
        leader: str,
        keys: Iterable[str],
        tolerance: Callable[[], float],
        on_complete: Callable[[Observation], None],
        on_incomplete: Callable[[Observation, list[str]], None],
        episodes: Iterator[int],
    ):
        self._leader = leader
        self._keys = frozenset(keys)
        self._tolerance = tolerance
        self._on_complete = on_complete
        self._on_incomplete = on_incomplete
        self._latest: dict[str, Any] = {}
        self._episodes = episodes
        self._episode = 0
        self._step = 0

    def clear(self) -> None:
        """Begins an episode."""
        self._latest.clear()
        self._episode = next(self._episodes)
        self._step = 0

    def add(self, key: str, message: Any) -> None:
        """Takes a stamped message.

        Args:
            key: One of the keys.
            message: An image, joint state or pose.
        """
        self._latest[key] = message
        if key != self._leader:
            return
        step = Step(header=message.header, episode=self._episode, step=self._step)
        self._step += 1
        limit = round(self._tolerance() * 1e9)
        stamp = nanoseconds(message.header.stamp)
        near = {
            name: other
            for name, other in self._latest.items()
            if abs(nanoseconds(other.header.stamp) - stamp) <= limit
        }
        observation = Observation(message.header.stamp, near, step)
        missing = sorted(self._keys - near.keys())
        if missing:
            self._on_incomplete(observation, missing)
        else:
            self._on_complete(observation)
