# SPDX-License-Identifier: Apache-2.0
"""Where things are, as somebody estimates it: what manoeuvres that need places read."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from salus_core.runtime.types import SceneEstimate

WALL_MEMORY = 25
"""Steps over which the height of an obstacle and the size of the target are told."""

_HIGH = 80
"""Percentile of an obstacle's height: rather too high than too low."""


class SceneMemory:
    """The newest estimate of an episode, and what is told better by several of them."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin an episode: nothing is known."""
        self._now: dict[str, float] = {}
        self._tops: deque[float] = deque(maxlen=WALL_MEMORY)
        self._halves: deque[float] = deque(maxlen=WALL_MEMORY)

    def update(self, estimate: SceneEstimate | None, tool_height: float) -> None:
        """Take the estimate of a step.

        Args:
            estimate: None: there is none of this step, so nothing is known at it.
            tool_height: of the tool point, in the frame of the actions [m].
        """
        if estimate is None:
            self._now = {}
            return
        self._now = dict(zip(estimate.names, estimate.values.tolist(), strict=True))
        if self["obstacle.present"] > 0.5 and self.known("obstacle.top"):
            self._tops.append(tool_height + self["obstacle.top"])
        if self.known("target.half_size"):
            self._halves.append(self["target.half_size"])

    def __getitem__(self, name: str) -> float:
        return self._now.get(name, np.nan)

    def known(self, *names: str) -> bool:
        """Whether all of these are estimated at this step."""
        return all(np.isfinite(self[name]) for name in names)

    def place(self, name: str, axes: Sequence[str] = "xy") -> np.ndarray:
        """A place relative to the tool point [m]; NaN where it is not known."""
        return np.array([self[f"{name}.{axis}"] for axis in axes])

    @property
    def goal(self) -> np.ndarray:
        """(2,) the goal's centre relative to the tool point [m].

        Near the goal the columns that are estimated only there are the better ones.
        """
        far, near = self.place("goal"), self.place("near_goal")
        if np.linalg.norm(far) < 0.09 or np.linalg.norm(near) < 0.06:
            return near if np.isfinite(near).all() else far
        return far

    @property
    def obstacle_top(self) -> float:
        """Height of the obstacle's top in the frame of the actions [m]; NaN: none was seen."""
        if not self._tops:
            return np.nan
        return float(max(np.median(self._tops), np.percentile(self._tops, _HIGH)))

    @property
    def half_size(self) -> float:
        """Half the target's height [m]; NaN: not known."""
        return float(np.median(self._halves)) if self._halves else np.nan
