# SPDX-License-Identifier: Apache-2.0
"""At the target: deeper grasps, and grasps that are tried again where the target is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from salus_core.actions import ActionSpec
from salus_core.prevention.manoeuvres.base import CLOSED, Situation, Tool, turned

_OPEN_WIDE = 0.06


@dataclass(frozen=True)
class DeepSettings:
    """Of `grasp_deeper`.

    Attributes:
        depth: how far below the target's centre the tool point goes [m].
        lowest: height of the tool point [m].
        most: steps in an episode.
    """

    depth: float = 0.009
    lowest: float = 0.0125
    most: int = 10


class GraspDeeper:
    """Goes down before the fingers close, so that more of the target is between them."""

    kind: ClassVar[str] = "recover"
    exclusive: ClassVar[bool] = False
    reads_scene: ClassVar[bool] = True
    settings_type = DeepSettings

    def __init__(self, name: str, spec: ActionSpec, settings: DeepSettings):
        self.name = name
        self._tool, self._settings = Tool(spec), settings
        self.reset()

    def reset(self) -> None:
        """See Manoeuvre."""
        self._used = 0

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        settings, tool, width = self._settings, situation.tool, situation.width
        half = situation.scene.half_size
        if not wanted or not situation.body_known or not np.isfinite(half):
            return None
        if self._tool.opening(action) >= CLOSED or situation.carrying:
            return None
        x, y, _ = self._tool.translation(action)
        lowest = max(settings.lowest, half - settings.depth)
        left = float(tool[2]) - lowest
        if width <= _OPEN_WIDE or left <= 0.0015 or self._used >= settings.most:
            return None
        self._used += 1
        down = -min(0.006, 0.5 * left + 0.001)
        return self._tool.moved(action, np.array([0.5 * x, 0.5 * y, down]), opening=1.0)


@dataclass(frozen=True)
class ReapproachSettings:
    """Of `reapproach`.

    Attributes:
        near: the estimate of the grasp is read within this distance of the target, in the plane and
            upwards [m].
        start_below: height of the tool point below which it begins [m].
        farthest: the hand is shifted so far at most [m].
        around: later tries are so far beside the first one [m].
        tries: after the first one.
        empty: share of the target's size; fingers that close further missed it.
        lift: height at which the hand is free to move again, after a grasp failed for good [m].
        most: steps that a shift may take.
        corrections: of the aim, once there, by what the estimate says then.
        exact: offsets below are not corrected [m].
    """

    near: tuple[float, float] = (0.08, 0.05)
    start_below: float = 0.07
    farthest: float = 0.045
    around: float = 0.016
    tries: int = 2
    empty: float = 1.36
    lift: float = 0.12
    most: int = 30
    corrections: int = 1
    exact: float = 0.005


class Reapproach:
    """Where the policy is about to close beside the target: opens, shifts by the estimate, closes.

    One shift by the estimate at the place where the policy closes works better than to follow the
    estimate: following leads to places of which nobody recorded what they look like.
    """

    kind: ClassVar[str] = "retry"
    exclusive: ClassVar[bool] = True
    reads_scene: ClassVar[bool] = True
    settings_type = ReapproachSettings

    def __init__(self, name: str, spec: ActionSpec, settings: ReapproachSettings):
        self.name = name
        self._tool, self._settings, self._size = Tool(spec), settings, spec.size
        self.reset()

    def reset(self) -> None:
        """See Manoeuvre."""
        self._phase = ""
        self._done = False
        self._offset: np.ndarray | None = None
        self._first: np.ndarray | None = None
        self._aim = np.zeros(2)
        self._tried = self._steps = self._held = self._corrected = 0
        self._widths: deque[float] = deque(maxlen=3)

    @property
    def succeeded(self) -> bool:
        """It has grasped the target in this episode."""
        return self._done

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        if self._done or not situation.body_known or not np.isfinite(situation.scene.half_size):
            return None
        self._look(situation)
        if not self._phase and not self._begins(situation, action, wanted):
            return None
        self._steps += 1
        self._widths.append(situation.width)
        motion, opening = getattr(self, f"_{self._phase}")(situation)
        rest = np.zeros(self._size)
        return self._tool.moved(rest, np.asarray(motion, float), opening)

    def _look(self, situation: Situation) -> None:
        """Follow the estimated offset of the target from the fingers while it is near."""
        aside, up = self._settings.near
        scene = situation.scene
        if not scene.known("grasp.across", "grasp.along", "grasp.z"):
            return
        if abs(scene["grasp.z"]) < up and np.linalg.norm(scene.place("target")) < aside:
            found = self._estimated(situation)
            self._offset = found if self._offset is None else 0.6 * self._offset + 0.4 * found

    def _estimated(self, situation: Situation) -> np.ndarray:
        """(2,) the target's centre relative to the tool point [m]."""
        scene = situation.scene
        return turned(scene["grasp.across"], scene["grasp.along"], situation.yaw)

    def _begins(self, situation: Situation, action: np.ndarray, wanted: bool) -> bool:
        height = float(situation.tool[2])
        if not wanted or situation.carrying or self._offset is None:
            return False
        if height > self._settings.start_below:
            return False
        closing = self._tool.opening(action) < CLOSED or situation.opening < CLOSED
        if not closing or (situation.opening < CLOSED and self._holds(situation)):
            return False
        self._take_aim(situation, self._offset)
        # Along the fingers' motion a shift would push the target aside: over it, then.
        over = abs(situation.scene["grasp.along"]) > 0.034 - situation.scene.half_size
        self._go("raise" if over else "shift")
        return True

    def _go(self, phase: str) -> None:
        self._phase, self._steps = phase, 0
        if phase == "shift":
            self._corrected = 0
        if phase == "close":
            self._widths.clear()
            self._held = 0

    def _take_aim(self, situation: Situation, offset: np.ndarray) -> None:
        settings, here = self._settings, situation.tool[:2]
        if self._first is None:
            self._first = here + offset
        else:  # the estimate did not help: around it
            angle = 2.4 * self._tried
            offset = self._first - here
            offset = offset + settings.around * np.array([np.cos(angle), np.sin(angle)])
        far = max(float(np.linalg.norm(offset)), 1e-9)
        self._aim = here + offset * min(1.0, settings.farthest / far)

    def _low(self, situation: Situation) -> float:
        return max(0.014, situation.scene.half_size - 0.008)

    def _holds(self, situation: Situation) -> bool:
        """By the fingers alone: told to close, stopped, about as wide as the target."""
        stopped = len(self._widths) == 3 and abs(self._widths[0] - self._widths[-1]) < 0.0006
        wide = situation.width > 1.7 * situation.scene.half_size
        return situation.closed_for >= 5 and stopped and wide

    def _missed(self, situation: Situation) -> bool:
        half = situation.scene.half_size
        return situation.width < min(self._settings.empty * half + 0.005, 1.85 * half)

    def _raise(self, situation: Situation) -> tuple[list[float], float]:
        if situation.tool[2] > 2 * situation.scene.half_size + 0.02:
            self._go("shift")
        return [0.0, 0.0, 0.012], 1.0

    def _shift(self, situation: Situation) -> tuple[list[float], float]:
        low, left = self._low(situation), self._aim - situation.tool[:2]
        far, height = float(np.linalg.norm(left)), float(situation.tool[2])
        down = -min(0.012, max(0.5 * (height - low + 0.003), 0.0)) if far < 0.006 else 0.0
        if far < 0.004 and height < low + 0.006 and self._corrects(situation):
            self._steps = 0
        elif (far < 0.004 and height < low + 0.006) or self._steps > self._settings.most:
            self._go("close")
        return [*np.clip(0.5 * left, -0.008, 0.008), down], 1.0

    def _corrects(self, situation: Situation) -> bool:
        """Move the aim if the estimate says at this place that the target is elsewhere."""
        left = self._estimated(situation)
        if self._corrected >= self._settings.corrections or not np.isfinite(left).all():
            return False
        self._corrected += 1
        far = float(np.linalg.norm(left))
        if not self._settings.exact < far < 0.02:
            return False
        self._aim = situation.tool[:2] + left
        return True

    def _close(self, situation: Situation) -> tuple[list[float], float]:
        if self._holds(situation):
            self._held += 1
        if self._held >= 2:
            self._go("lift")
        elif self._missed(situation):
            return self._again(situation)
        return [0.0, 0.0, 0.35 * (self._low(situation) - situation.tool[2])], 0.0

    def _again(self, situation: Situation) -> tuple[list[float], float]:
        self._tried += 1
        if self._tried > self._settings.tries:
            self._go("leave")
        else:
            self._take_aim(situation, self._estimated(situation))
            self._go("raise")
        return [0.0, 0.0, 0.010], 1.0

    def _lift(self, situation: Situation) -> tuple[list[float], float]:
        if self._missed(situation) and self._tried <= self._settings.tries:
            return self._again(situation)
        if self._steps > 5:
            self._done, self._phase = True, ""
        return [0.0, 0.0, 0.010], 0.0

    def _leave(self, situation: Situation) -> tuple[list[float], float]:
        """Up and open: the policy begins anew."""
        if situation.tool[2] > self._settings.lift:
            self._phase, self._tried = "", 0
            self._offset = self._first = None
        return [0.0, 0.0, 0.012], 1.0
