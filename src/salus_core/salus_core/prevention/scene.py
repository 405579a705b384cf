# SPDX-License-Identifier: Apache-2.0
"""Where things are, as somebody estimates it: what manoeuvres that need places read."""

from __future__ import annotations

from collections import deque

import numpy as np

from salus_core.runtime.types import SceneEstimate

SIZES = 25
"""Steps over which the target's size is told."""

_BESIDE = 0.12
"""Columns of what is near are read within this distance of it [m]."""


class _Resting:
    """A place that rests during an episode: estimates of it, weighted by what they are worth."""

    def __init__(self, size: int):
        self._sum, self._weight = np.zeros(size), np.zeros(size)

    def add(self, value: np.ndarray, std: np.ndarray) -> None:
        """Take an estimate and its standard deviations; what is not known counts for nothing."""
        known = np.isfinite(value) & np.isfinite(std) & (std > 0)
        # Errors of steps in a row are alike: the fourth power lets the best ones decide.
        weight = np.where(known, np.where(known, std, 1.0) ** -4.0, 0.0)
        self._sum += np.where(known, value, 0.0) * weight
        self._weight += weight

    @property
    def value(self) -> np.ndarray:
        """The mean; NaN: nothing is known."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self._weight > 0, self._sum / self._weight, np.nan)


class SceneMemory:
    """What is known of an episode's scene.

    The goal and the obstacle are taken to rest during an episode, so all estimates of them count,
    weighted by their standard deviations; of a source that gives none, all alike.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin an episode: nothing is known."""
        self._now: dict[str, float] = {}
        self._std: dict[str, float] = {}
        self._tool = np.full(3, np.nan)
        self._goal, self._obstacle, self._top = _Resting(2), _Resting(2), _Resting(1)
        self._halves: deque[float] = deque(maxlen=SIZES)

    def update(self, estimate: SceneEstimate | None, tool: np.ndarray) -> None:
        """Take the estimate of a step.

        Args:
            estimate: None: there is none of this step, so nothing is known at it.
            tool: (3,) tool point in the frame of the actions [m]; NaN: not known.
        """
        self._now, self._std, self._tool = {}, {}, tool
        if estimate is None or not np.isfinite(tool).all():
            return
        self._now = dict(zip(estimate.names, estimate.values.tolist(), strict=True))
        std = np.ones(len(estimate.names)) if estimate.std is None else estimate.std
        self._std = dict(zip(estimate.names, std.tolist(), strict=True))
        far = self.place("goal")
        self._goal.add(tool[:2] + far, self._spread("goal"))
        if np.linalg.norm(far) < _BESIDE:
            self._goal.add(tool[:2] + self.place("near_goal"), self._spread("near_goal"))
        if self["obstacle.present"] > 0.5:
            self._obstacle.add(tool[:2] + self.place("obstacle"), self._spread("obstacle"))
            top = np.array([tool[2] + self["obstacle.top"]])
            self._top.add(top, np.array([self._std.get("obstacle.top", np.nan)]))
        if self.known("target.half_size"):
            self._halves.append(self["target.half_size"])

    def _spread(self, name: str) -> np.ndarray:
        return np.array([self._std.get(f"{name}.{axis}", np.nan) for axis in "xy"])

    def __getitem__(self, name: str) -> float:
        return self._now.get(name, np.nan)

    def known(self, *names: str) -> bool:
        """Whether all of these are estimated at this step."""
        return all(np.isfinite(self[name]) for name in names)

    def place(self, name: str) -> np.ndarray:
        """(2,) a place relative to the tool point, as of this step [m]; NaN: not known."""
        return np.array([self[f"{name}.{axis}"] for axis in "xy"])

    @property
    def goal(self) -> np.ndarray:
        """(2,) the goal's centre relative to the tool point [m]; NaN: nothing is known."""
        return self._relative(self._goal)

    @property
    def obstacle(self) -> np.ndarray:
        """(2,) the obstacle's centre relative to the tool point [m]; NaN: none was seen."""
        return self._relative(self._obstacle)

    def _relative(self, resting: _Resting) -> np.ndarray:
        found: np.ndarray = resting.value - self._tool[:2]
        return found if self._now else np.full(2, np.nan)

    @property
    def obstacle_top(self) -> float:
        """Height of the obstacle's top in the frame of the actions [m]; NaN: none was seen."""
        return float(self._top.value[0])

    @property
    def half_size(self) -> float:
        """Half the target's height [m]; NaN: not known."""
        return float(np.median(self._halves)) if self._halves else np.nan
