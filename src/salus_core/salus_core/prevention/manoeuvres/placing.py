# SPDX-License-Identifier: Apache-2.0
"""Over the goal with the load, and no lower for a while: set it down, let go, rise."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from salus_core.actions import ActionSpec
from salus_core.prevention.manoeuvres.base import Situation, Tool


@dataclass(frozen=True)
class PlaceSettings:
    """Of `place`.

    Attributes:
        near: distance to the goal within which it waits for the policy to go lower [m].
        within: distance to the goal within which it begins [m].
        after: steps without getting lower until it begins.
        at_once: types of failure that say that the policy does not see where the goal is: then it
            begins at once.
        down: height that is lost in a step [m].
        stands_below: height of the load's lower side over the goal at which it is let go [m].
        pushed: so far it slides upwards in the hand once it stands [m].
        pinched: so much the fingers' distance changes once it stands [m].
        most: steps of going down.
    """

    near: float = 0.05
    within: float = 0.03
    after: int = 15
    at_once: tuple[str, ...] = ("missed_grasp",)
    down: float = 0.004
    stands_below: float = 0.006
    pushed: float = 0.004
    pinched: float = 0.003
    most: int = 45


class Place:
    """Lowers the load until it stands, opens the gripper and rises; once in an episode."""

    kind: ClassVar[str] = "recover"
    exclusive: ClassVar[bool] = True
    reads_scene: ClassVar[bool] = True
    settings_type = PlaceSettings

    def __init__(self, name: str, spec: ActionSpec, settings: PlaceSettings):
        self.name = name
        self._tool, self._settings, self._size = Tool(spec), settings, spec.size
        self.reset()

    def reset(self) -> None:
        """See Manoeuvre."""
        self._phase = ""
        self._lowest = np.inf
        self._waited = self._steps = 0
        self._heights: deque[float] = deque(maxlen=5)
        self._used = False
        self._began = (np.nan, np.nan)

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        if not situation.body_known:
            return None
        height, near = float(situation.tool[2]), situation.goal
        if not self._phase:
            self._wait(situation, height, near)
            blind = situation.warned.intersection(self._settings.at_once)
            waited = self._waited >= (1 if blind else self._settings.after)
            ready = waited and situation.carrying and not self._used
            if not (wanted and ready and np.linalg.norm(near) < self._settings.within):
                return None
            self._phase, self._used = "lower", True
        self._steps += 1
        self._heights.append(height)
        motion, opening = getattr(self, f"_{self._phase}")(situation, near)
        return self._tool.moved(np.zeros(self._size), np.asarray(motion, float), opening)

    def _wait(self, situation: Situation, height: float, near: np.ndarray) -> None:
        if not (situation.carrying and np.linalg.norm(near) < self._settings.near):
            return
        if height < self._lowest - 0.002:
            self._lowest, self._waited = height, 0
        else:
            self._waited += 1

    def _lower(self, situation: Situation, near: np.ndarray) -> tuple[list[float], float]:
        if self._stands(situation) or self._steps > self._settings.most:
            self._phase, self._steps = "open", 0
        aside = np.clip(0.2 * near, -0.004, 0.004) if np.isfinite(near).all() else np.zeros(2)
        return [*aside, -self._settings.down], 0.0

    def _stands(self, situation: Situation) -> bool:
        """By the tool that gets no lower, the estimated height, or the load that moves in it."""
        settings, scene = self._settings, situation.scene
        if self._steps == 1:
            self._began = (scene["held.z"], situation.width)
        stopped = len(self._heights) == 5 and self._heights[0] - self._heights[-1] < 0.005
        return bool(
            stopped
            or scene["near_goal.up"] < settings.stands_below
            or scene["held.z"] - self._began[0] > settings.pushed
            or abs(situation.width - self._began[1]) > settings.pinched
        )

    def _open(self, situation: Situation, near: np.ndarray) -> tuple[list[float], float]:
        if self._steps > 9:
            self._phase, self._steps = "rise", 0
        return [0.0, 0.0, 0.002], 1.0

    def _rise(self, situation: Situation, near: np.ndarray) -> tuple[list[float], float]:
        if self._steps > 8:
            self._phase = ""
        return [0.0, 0.0, 0.010], 1.0
