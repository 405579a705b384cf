# SPDX-License-Identifier: Apache-2.0
"""Puts together what the simulator's nodes publish of one tick. Free of ROS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

CLOCK = "clock"


@dataclass
class Frame:
    """Everything of one tick.

    Attributes:
        stamp: of its clock message [ns]; the other stamps may differ by rounding.
        messages: by key.
    """

    stamp: int
    messages: dict[str, Any] = field(default_factory=dict)


class FrameMatcher:
    """Matches messages to the ticks of the clock.

    Images are stamped through a rational time and joints through the graph, so that equal times
    differ by up to a microsecond; a tick is far longer. Ticks that were left behind are forgotten.

    Args:
        keys: of the messages that a frame needs besides the clock's.
        tolerance: largest difference of a stamp to the clock's [ns].
    """

    def __init__(self, keys: Iterable[str], tolerance: int) -> None:
        self._keys = tuple(keys)
        self._tolerance = tolerance
        self._held: dict[str, dict[int, Any]] = {key: {} for key in (CLOCK, *self._keys)}
        self._past = 0  # ticks up to this stamp are over [ns]

    def expect(self) -> None:
        """A tick is about to pass: frames of those known by now are no longer of interest.

        Images that lag would otherwise complete the frame before, tick after tick.
        """
        self._past = max([self._past, *self._held[CLOCK]])
        self._forget()

    def add(self, key: str, stamp: int, message: Any) -> None:
        """Take a message; a clock's of a tick that is over is ignored."""
        if key != CLOCK or stamp > self._past:
            self._held[key][stamp] = message

    def take(self) -> Frame | None:
        """The newest complete frame of a tick that is not over, if any; it is then."""
        for stamp in sorted(self._held[CLOCK], reverse=True):
            found = {key: self._near(key, stamp) for key in self._keys}
            if None not in found.values():
                self._past = stamp
                self._forget()
                return Frame(stamp, found)
        return None

    def missing(self) -> list[str]:
        """What the newest tick lacks, each with how far off its newest message is."""
        if not self._held[CLOCK]:
            return [f"{CLOCK} (no new message)"]
        tick = max(self._held[CLOCK])
        lacking = []
        for key in self._keys:
            if self._near(key, tick) is None:
                newest = max(self._held[key], default=None)
                text = "none" if newest is None else f"newest {(tick - newest) / 1e9:+.4f} s behind"
                lacking.append(f"{key} ({text})")
        return lacking

    def _near(self, key: str, stamp: int) -> Any | None:
        near = [s for s in self._held[key] if abs(s - stamp) <= self._tolerance]
        return self._held[key][min(near, key=lambda s: abs(s - stamp))] if near else None

    def _forget(self) -> None:
        """Drop what is over; the newest of each key stays, to say how far it lags."""
        for key, held in self._held.items():
            newest = max(held, default=None)
            for stamp in [s for s in held if s <= self._past + self._tolerance]:
                if key == CLOCK or stamp != newest:
                    del held[stamp]
