"""A scripted expert with privileged knowledge: the teacher of the embedded policy."""

from __future__ import annotations

import numpy as np

from salus_sim.scenario import Scenario
from salus_sim.scene import Scene
from salus_sim.truth import GroundTruth

_GAIN = 0.35  # of the remaining way per step, before the limit
_ALIGNED = 0.012  # the hand may close when it is this near to its aim [m]
_FUNNEL, _FUNNEL_RADIUS = 4.0, 0.006  # slope and neck [m] of the way down to the target
_HOVER = 0.10  # above the target before coming down [m]
_CARRY_MARGIN = 0.085  # of the tool point over the obstacle's top while carrying [m]
_NEAR_GOAL = 0.05  # here the way down begins [m]
_LIFT_BLEND = 0.025  # below the carrying height sideways motion fades in over this [m]
_CLOSING_STEPS = 8
_OPENING_STEPS = 4
PHASES = ("reach", "grasp", "lift", "carry", "lower", "release", "retreat")


class Expert:
    """Picks the target and places it on the goal, over the obstacle if there is one.

    The action is a function of the present state and a small memory (the phase), so that it can
    also label states that a student has reached by itself (DAgger, Ross et al. 2011).
    """

    def __init__(self, scene: Scene, scenario: Scenario) -> None:
        self._scale = np.array(scene.control["action_scale"])
        self._scenario = scenario
        self._half = scenario.objects[scenario.target].half_size
        top = scenario.obstacle[5] if scenario.obstacle is not None else 0.0
        self._carry_height = max(0.12, top + _CARRY_MARGIN)
        self._closed_for = 0
        self._opened_for = 0
        self.phase = "reach"

    def act(self, truth: GroundTruth) -> np.ndarray:
        """The action (7,) for this step, in the units of ActionCommand."""
        target = truth.object_poses[self._scenario.target]
        tool = truth.tool_position
        held = truth.grasped_object == self._scenario.target
        self.phase = self._next_phase(truth, target, held)
        opening = 1.0 if self.phase in ("reach", "release", "retreat") else 0.0
        aim = self._aim(tool, target)
        way = aim - tool
        step = np.clip(_GAIN * way, -self._scale[:3], self._scale[:3])
        rotation = np.zeros(3)
        if self.phase == "reach":
            error = _smallest_turn(_yaw(target[3:]) - _tool_yaw(truth))
            rotation[2] = np.clip(0.3 * error, -self._scale[5], self._scale[5])
        return np.array([*step, *rotation, opening])

    def _next_phase(self, truth: GroundTruth, target: np.ndarray, held: bool) -> str:
        tool, phase = truth.tool_position, self.phase
        goal = self._scenario.goal
        aside = np.linalg.norm(tool[:2] - target[:2])
        if phase == "reach":
            if held and truth.gripper_command < 0.5:
                return "lift"
            if aside < _ALIGNED and tool[2] < self._grasp_height() + 0.006:
                self._closed_for = 0
                return "grasp"
            return "reach"
        if phase == "grasp":
            # A student that has not closed yet is not hurried on.
            self._closed_for += truth.gripper_command < 0.5
            if aside > 2 * _ALIGNED and not held:
                return "reach"
            return "lift" if self._closed_for >= _CLOSING_STEPS else "grasp"
        if phase in ("lift", "carry", "lower"):
            empty = truth.gripper_width < 1.2 * self._half or truth.gripper_command > 0.5
            if not held and empty:
                return "reach"
            away = np.linalg.norm(target[:2] - goal)
            if target[2] < self._half + 0.008 and away < 0.03:
                self._opened_for = 0
                return "release"
            if away < _NEAR_GOAL:
                return "lower"
            return "carry" if tool[2] > self._carry_height - _LIFT_BLEND else "lift"
        if phase == "release":
            if held and target[2] > self._half + 0.02:
                return "carry"
            self._opened_for += 1
            return "retreat" if self._opened_for >= _OPENING_STEPS else "release"
        return phase

    def _approach_height(self, tool: np.ndarray, target: np.ndarray) -> float:
        """A funnel above the target [m]: the nearer in the plane, the lower.

        A height that jumped when the hand is aligned would teach a student, which sees the
        alignment only roughly, to hover between the two.
        """
        aside = np.linalg.norm(tool[:2] - target[:2])
        height = self._grasp_height() - 0.004 + _FUNNEL * max(0.0, aside - _FUNNEL_RADIUS)
        ceiling = 2 * self._half + _HOVER
        if self._scenario.obstacle is not None:
            way = np.clip((aside - 0.06) / 0.06, 0.0, 1.0)
            ceiling += way * max(0.0, self._carry_height - ceiling)
        return min(height, ceiling)

    def _grasp_height(self) -> float:
        return max(0.016, self._half)

    def _aim(self, tool: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Where the tool point should go: (3,) [m]."""
        goal, phase = self._scenario.goal, self.phase
        if phase == "reach":
            return np.array([*target[:2], self._approach_height(tool, target)])
        if phase == "grasp":
            return np.array([*tool[:2], self._grasp_height()])
        way = goal - target[:2]
        away = np.linalg.norm(way)
        if phase in ("lift", "carry"):
            risen = (tool[2] - self._carry_height + 2 * _LIFT_BLEND) / _LIFT_BLEND
            return np.array([*(tool[:2] + np.clip(risen, 0.0, 1.0) * way), self._carry_height])
        if phase == "lower":
            down = self._half + 0.002 + tool[2] - target[2]
            height = down + _FUNNEL * max(0.0, away - 2 * _FUNNEL_RADIUS)
            return np.array([*(tool[:2] + way), min(height, self._carry_height)])
        if phase == "release":
            return tool.copy()
        return np.array([*tool[:2], 0.15])


def _yaw(quaternion: np.ndarray) -> float:
    x, y, z, w = quaternion
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


def _tool_yaw(truth: GroundTruth) -> float:
    """Yaw of the fingers' closing direction; the tool's z axis points down."""
    x, y, z, w = truth.tool_quaternion
    return float(np.arctan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z)))


def _smallest_turn(angle: float) -> float:
    """The equivalent turn of a cube, within a quarter turn: (-pi/4, pi/4]."""
    return float((angle + np.pi / 4) % (np.pi / 2) - np.pi / 4)
