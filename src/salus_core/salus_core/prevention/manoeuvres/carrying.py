# SPDX-License-Identifier: Apache-2.0
"""On the way with the load: high enough, without delay, and not let go beside the goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from salus_core.actions import ActionSpec
from salus_core.prevention.manoeuvres.base import CLOSED, Situation, Tool
from salus_core.prevention.scene import SceneMemory

GAIN = 0.35
"""Share of a distance that is gone in a step."""


@dataclass(frozen=True)
class CarrySettings:
    """Of `carry`.

    Attributes:
        clearance: of the load's lower side over the obstacle [m].
        least_height: of the tool point over the table, beside half the load's height [m].
        arrived: nearer to the goal the policy goes on alone [m].
        steps_arrived: in a row that it must be so near.
        near: within this distance of the goal the pace is `slow_pace` [m].
        slow_pace: along every axis [m per step].
        room: distance to the obstacle at which the height must be reached [m].
        hasty_room: the same where one of `hurry` is forecast: what slips must not wait [m].
        hurry: types of failure.
        blind: types of failure that say that the policy does not see where things are: then the
            estimate alone tells the direction, until the load is over the goal.
        over: so near to the goal it is over it [m].
        climb: height that is gained in a step [m].
        own_direction: proposed motions that are longer tell the direction [m].
    """

    clearance: float = 0.035
    least_height: float = 0.075
    arrived: float = 0.05
    steps_arrived: int = 2
    near: float = 0.12
    slow_pace: float = 0.010
    room: float = 0.16
    hasty_room: float = 0.11
    hurry: tuple[str, ...] = ("drop",)
    blind: tuple[str, ...] = ("missed_grasp",)
    over: float = 0.015
    climb: float = 0.011
    own_direction: float = 0.004


class Carry:
    """Carries a held target over the obstacle and straight to the goal, at full pace."""

    kind: ClassVar[str] = "recover"
    exclusive: ClassVar[bool] = False
    reads_scene: ClassVar[bool] = True
    settings_type = CarrySettings

    def __init__(self, name: str, spec: ActionSpec, settings: CarrySettings):
        self.name = name
        self._tool, self._settings = Tool(spec), settings
        self.reset()

    def reset(self) -> None:
        """See Manoeuvre."""
        self._near_for = 0
        self._arrived = False

    @property
    def succeeded(self) -> bool:
        """It has brought the load to the goal in this episode."""
        return self._arrived

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        scene, tool = situation.scene, situation.tool
        if not wanted or not situation.body_known or not situation.carrying or self._arrived:
            return None
        goal, half = situation.goal, scene.half_size
        if not (np.isfinite(goal).all() and np.isfinite(half)):
            return None
        settings = self._settings
        far = float(np.linalg.norm(goal))
        blind = bool(situation.warned.intersection(settings.blind))
        self._near_for = self._near_for + 1 if far < self._reached(blind) else 0
        if self._near_for >= settings.steps_arrived:
            self._arrived = True
            return None
        direction = goal / max(far, 1e-9)
        own = self._tool.translation(action)[:2]
        pace = float(np.linalg.norm(own))
        if pace > settings.own_direction and not blind:
            direction = own / pace
        height, way = self._height(scene, direction, half)
        rise = height - float(tool[2])
        room = settings.room
        if situation.warned.intersection(settings.hurry):
            room = settings.hasty_room
        along = self._along(far, direction, rise, way, room)
        return self._tool.moved(action, np.array([*along, self._up(rise, way)]), opening=0.0)

    def _reached(self, blind: bool) -> float:
        return self._settings.over if blind else self._settings.arrived

    def _height(
        self, scene: SceneMemory, direction: np.ndarray, half: float
    ) -> tuple[float, float]:
        """Wanted height of the tool point, and how far the obstacle is along the way [m]."""
        settings = self._settings
        height, way = settings.least_height + half, np.inf
        top = scene.obstacle_top
        if np.isfinite(top) and scene["obstacle.present"] > 0.5:
            way = float(scene.obstacle @ direction)
            if way > -0.05:
                sag = min(scene["held.z"], 0.0) if scene.known("held.z") else 0.0
                height = max(height, top + settings.clearance + half - sag)
        return height, way

    def _along(
        self, far: float, direction: np.ndarray, rise: float, way: float, room: float
    ) -> np.ndarray:
        """Motion in the plane: only so fast that the climb is done before the obstacle."""
        settings = self._settings
        along = self._tool.shrunk(GAIN * far * direction)
        if far < settings.near:
            along = self._tool.shrunk(along, settings.slow_pace)
        pace = float(np.abs(along).max())
        if rise > 0.01:
            room = room if rise > 0.05 else room - 0.03
            left = max(0.0, (way if np.isfinite(way) else far + 0.08) - room)
            along = along * np.clip(left / (rise / settings.climb) / max(pace, 1e-6), 0.0, 1.0)
        return along

    def _up(self, rise: float, way: float) -> float:
        if rise > 0:
            return min(self._tool.largest, GAIN * rise)
        beside = np.isfinite(way) and way > -0.05
        return max(-self._tool.largest if beside else -self._settings.slow_pace, GAIN * rise)


@dataclass(frozen=True)
class KeepSettings:
    """Of `keep_hold`.

    Attributes:
        near: nearer to the goal the policy may let go [m].
        low: if the load is this high over the goal at most [m].
        lower_within: within this distance of the goal the load is lowered first [m].
        farthest: further away the estimate of the goal is not believed [m].
        most: steps in an episode.
    """

    near: float = 0.035
    low: float = 0.035
    lower_within: float = 0.10
    farthest: float = 0.6
    most: int = 40


class KeepHold:
    """Does not let go of the target beside the goal or high above it."""

    kind: ClassVar[str] = "recover"
    exclusive: ClassVar[bool] = False
    reads_scene: ClassVar[bool] = True
    settings_type = KeepSettings

    def __init__(self, name: str, spec: ActionSpec, settings: KeepSettings):
        self.name = name
        self._tool, self._settings = Tool(spec), settings
        self.reset()

    def reset(self) -> None:
        """See Manoeuvre."""
        self._used = 0

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        settings, scene, tool = self._settings, situation.scene, situation.tool
        letting_go = self._tool.opening(action) >= CLOSED
        if not wanted or not letting_go or not situation.carrying or not situation.body_known:
            return None
        goal = situation.goal
        far = float(np.linalg.norm(goal))
        if not np.isfinite(far) or self._used > settings.most:
            return None
        if far < settings.lower_within and scene["near_goal.up"] > settings.low:
            motion = [*np.clip(GAIN * goal, -0.008, 0.008), -0.010]
        elif settings.near <= far <= settings.farthest and not (tool[2] < 0.03 and far > 0.15):
            up = max(float(self._tool.translation(action)[2]), 0.0)
            motion = [*np.clip(GAIN * goal, -0.010, 0.010), up]
        else:
            return None
        self._used += 1
        return self._tool.moved(action, np.array(motion), opening=0.0)


@dataclass(frozen=True)
class ReachSettings:
    """Of `reach_higher`.

    Attributes:
        clearance: of fingers or load over the obstacle [m].
        near: nearer to the target, or to the goal, the policy goes on alone [m].
        aside: obstacles further from the way do not matter [m].
        fingers: how far they are below the tool point [m].
    """

    clearance: float = 0.035
    near: float = 0.07
    aside: float = 0.12
    fingers: float = 0.012


class ReachHigher:
    """Passes above an obstacle that stands between the empty hand and the target."""

    kind: ClassVar[str] = "recover"
    exclusive: ClassVar[bool] = False
    reads_scene: ClassVar[bool] = True
    settings_type = ReachSettings

    def __init__(self, name: str, spec: ActionSpec, settings: ReachSettings):
        self.name = name
        self._tool, self._settings = Tool(spec), settings

    def reset(self) -> None:
        """See Manoeuvre."""

    def act(self, situation: Situation, action: np.ndarray, wanted: bool) -> np.ndarray | None:
        """See Manoeuvre."""
        settings, scene, tool = self._settings, situation.scene, situation.tool
        top, target = scene.obstacle_top, scene.place("target")
        if not wanted or not situation.body_known or situation.opening < CLOSED:
            return None
        far = float(np.linalg.norm(target))
        if not np.isfinite(top) or not far >= settings.near:
            return None
        direction, obstacle = target / far, scene.obstacle
        along = float(obstacle @ direction)
        aside = abs(float(obstacle @ np.array([-direction[1], direction[0]])))
        if not (-0.06 <= along <= far) or aside > settings.aside:
            return None
        gap = float(tool[2]) - settings.fingers - top - settings.clearance
        x, y, z = self._tool.translation(action)
        share = np.clip((gap + 0.05) / 0.04, 0.0, 1.0)
        up = max(z, min(self._tool.largest, 0.002 - GAIN * gap)) if gap < 0 else max(z, -GAIN * gap)
        changed = self._tool.moved(action, np.array([x * share, y * share, up]))
        return None if np.allclose(changed, action, atol=1e-6) else changed
