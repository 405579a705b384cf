# SPDX-License-Identifier: Apache-2.0
"""Gathers the messages of one observation: a Step and everything with the same stamp."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from builtin_interfaces.msg import Time


def nanoseconds(stamp: Time) -> int:
    """Time as one integer: exact, comparable, hashable [ns]."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


@dataclass
class Observation:
    """What belongs to one stamp.

    Attributes:
        stamp: of every message in it.
        messages: by key, those that have come.
        step: the Step message, which gives episode and step their numbers; None until it has come.
    """

    stamp: Time
    messages: dict[str, Any] = field(default_factory=dict)
    step: Any | None = None


class StepSync:
    """Emits each complete observation once, whatever the order in which its messages arrive.

    Memory is bounded: at most `capacity` incomplete observations are kept, then the one that began
    first is given up and counted. Not thread-safe: call it from one callback group.

    Args:
        keys: names of the messages that an observation needs besides its Step.
        on_complete: called with each complete Observation, from within `add` or `add_step`.
        on_incomplete: called with each Observation that is given up and the names that it lacks
            ("step" if the Step itself is missing).
        capacity: incomplete observations kept.
    """

    def __init__(
        self,
        keys: Iterable[str],
        on_complete: Callable[[Observation], None],
        on_incomplete: Callable[[Observation, list[str]], None] | None = None,
        capacity: int = 8,
    ):
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1: {capacity}")
        self.keys = frozenset(keys)
        self.completed = 0
        self.incomplete = 0
        """Observations given up because something was missing."""
        self.duplicates = 0
        """Messages ignored because the same had come before."""
        self._on_complete = on_complete
        self._on_incomplete = on_incomplete
        self._capacity = capacity
        self._pending: OrderedDict[int, Observation] = OrderedDict()
        # Stamps done with, so that a late duplicate does not begin a new observation.
        self._closed: deque[int] = deque(maxlen=8 * capacity)

    def add_step(self, message: Any) -> None:
        """Take a salus_msgs/Step."""
        observation = self._observation(message)
        if observation is None or observation.step is not None:
            self.duplicates += 1
            return
        observation.step = message
        self._finish(observation)

    def add(self, key: str, message: Any) -> None:
        """Take a stamped message.

        Raises:
            KeyError: `key` is none of the keys.
        """
        if key not in self.keys:
            raise KeyError(f"unknown key {key!r}; known: {', '.join(sorted(self.keys))}")
        observation = self._observation(message)
        if observation is None or key in observation.messages:
            self.duplicates += 1
            return
        observation.messages[key] = message
        self._finish(observation)

    def clear(self) -> None:
        """Forget what is incomplete without counting it: a new episode, a deactivation."""
        self._pending.clear()
        self._closed.clear()

    def _observation(self, message: Any) -> Observation | None:
        stamp = nanoseconds(message.header.stamp)
        if stamp in self._closed:
            return None
        if stamp not in self._pending:
            if len(self._pending) == self._capacity:
                self._give_up_oldest()
            self._pending[stamp] = Observation(message.header.stamp)
        return self._pending[stamp]

    def _finish(self, observation: Observation) -> None:
        if observation.step is None or len(observation.messages) < len(self.keys):
            return
        stamp = nanoseconds(observation.stamp)
        del self._pending[stamp]
        self._closed.append(stamp)
        self.completed += 1
        self._on_complete(observation)

    def _give_up_oldest(self) -> None:
        stamp, observation = self._pending.popitem(last=False)
        self._closed.append(stamp)
        self.incomplete += 1
        if self._on_incomplete is not None:
            missing = sorted(self.keys - observation.messages.keys())
            self._on_incomplete(observation, missing if observation.step else ["step", *missing])
