"""A scripted expert with privileged knowledge: the teacher of the embedded policy."""

from __future__ import annotations

import numpy as np

from salus_sim.scenario import Scenario
from salus_sim.scene import Scene
from salus_sim.truth import GroundTruth

_GAIN = 0.35  # of the remaining way per step, before the limit
_ALIGNED = 0.012  # the hand may come down when it is this near above its aim [m]
_HOVER = 0.10  # above the target before coming down [m]
_CARRY_MARGIN = 0.075  # of the tool point over the obstacle's top while carrying [m]
_CLOSING_STEPS = 8
_OPENING_STEPS = 4
PHASES = ("reach", "descend", "grasp", "lift", "carry", "lower", "release", "retreat")


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
        opening = 1.0 if self.phase in ("reach", "descend", "release", "retreat") else 0.0
        aim = self._aim(tool, target)
        way = aim - tool
        step = np.clip(_GAIN * way, -self._scale[:3], self._scale[:3])
        rotation = np.zeros(3)
        if self.phase in ("reach", "descend"):
            error = _smallest_turn(_yaw(target[3:]) - _tool_yaw(truth))
            rotation[2] = np.clip(0.3 * error, -self._scale[5], self._scale[5])
        return np.array([*step, *rotation, opening])

    def _next_phase(self, truth: GroundTruth, target: np.ndarray, held: bool) -> str:
        tool, phase = truth.tool_position, self.phase
        goal = self._scenario.goal
        aside = np.linalg.norm(tool[:2] - target[:2])
        if phase in ("reach", "descend"):
            if held and truth.gripper_command < 0.5:
                return "lift"
            if phase == "descend" and aside < _ALIGNED and tool[2] < self._grasp_height() + 0.006:
                self._closed_for = 0
                return "grasp"
            near = _ALIGNED if phase == "reach" else 2 * _ALIGNED
            return "descend" if aside < near else "reach"
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
            if phase == "lower" and target[2] < self._half + 0.008 and away < 0.03:
                self._opened_for = 0
                return "release"
            if away < (0.015 if phase != "lower" else 0.03):
                return "lower"
            return "carry" if tool[2] > self._carry_height - 0.02 else "lift"
        if phase == "release":
            if held and target[2] > self._half + 0.02:
                return "carry"
            self._opened_for += 1
            return "retreat" if self._opened_for >= _OPENING_STEPS else "release"
        return phase

    def _grasp_height(self) -> float:
        return max(0.016, self._half)

    def _aim(self, tool: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Where the tool point should go: (3,) [m]."""
        goal, obstacle = self._scenario.goal, self._scenario.obstacle
        phase = self.phase
        if phase == "reach":
            aside = np.linalg.norm(tool[:2] - target[:2])
            height = 2 * self._half + _HOVER
            if obstacle is not None and aside > 0.08:
                height = max(height, self._carry_height)
            return np.array([*target[:2], max(height, min(tool[2], 0.3) - 0.35 * 0.3)])
        if phase == "descend":
            return np.array([*target[:2], self._grasp_height() - 0.004])
        if phase == "grasp":
            return np.array([*tool[:2], self._grasp_height()])
        offset = tool[:2] - target[:2]
        if phase == "lift":
            return np.array([*tool[:2], self._carry_height + 0.03])
        if phase == "carry":
            return np.array([*(goal + offset), self._carry_height + 0.01])
        if phase == "lower":
            return np.array([*(goal + offset), self._half + 0.002 + tool[2] - target[2]])
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
