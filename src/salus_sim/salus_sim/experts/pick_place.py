"""The teacher of picking and placing: on the disc, in the tray, on another cube."""

from __future__ import annotations

import numpy as np

from salus_sim.experts.geometry import limited, quarter_turn, yaw
from salus_sim.scenario import Scenario
from salus_sim.scene import Scene
from salus_sim.tasks import STACK
from salus_sim.world.mujoco_world import WorldTruth

_GAIN = 0.35  # of the remaining way per step, before the limit
_ALIGNED = 0.016  # the hand closes when it is this near to the target in the plane [m]
_FUNNEL, _FUNNEL_RADIUS = 4.0, 0.011  # slope and neck [m] of the way down to the target
_HOVER = 0.10  # above the target before coming down [m]
_CARRY_GAP = 0.020  # between the obstacle's top and the carried target [m]
_NEAR_GOAL = 0.05  # here the way down begins [m]
_NECK = 0.75  # of what is near enough to let go: within it the way down is free
_LIFT_BLEND = 0.025  # below the carrying height sideways motion fades in over this [m]
_DEPTH = 0.006  # the fingers hold it so far below its centre [m]
_WIDER = 0.012  # the fingers come down around it only when so much wider open than it is [m]
_TOUCHDOWN, _SLOWING = 0.003, 0.12  # steps down at the end of the way down [m], per way left
_REBOUND = 0.004  # up while letting go [m]; with more, who is unsure if to let go hovers
_HELD_STEPS = 4  # until the fingers press
_LET_GO = 0.012  # the hand rises once it is so much wider open than the target is [m]
_PHASES = ("reach", "grasp", "lift", "carry", "lower", "release", "retreat")


class PickPlaceExpert:
    """Picks the target and sets it down on the goal, over the obstacle; see `experts.Expert`."""

    def __init__(self, scene: Scene, scenario: Scenario) -> None:
        self._scale = np.array(scene.control["action_scale"])
        self._scenario = scenario
        self._goal = scenario.goal[:2]
        target = scenario.objects[scenario.target]
        self._half = target.half_size
        self._placed_height = scenario.goal[2] + self._half
        # A cube on a cube must be let go nearer to its goal than one on the disc.
        stacking = scenario.task == STACK
        self._near = 0.018 if stacking else 0.03
        # Fingers deep on the target would reach the cube below it.
        self._grasp_height = max(0.014, self._half - (0.0 if stacking else _DEPTH))
        top = scenario.obstacle[5] if scenario.obstacle is not None else 0.0
        self._carry_height = max(
            0.12, top + self._half + _CARRY_GAP, self._placed_height + self._half + _NEAR_GOAL
        )
        self._held_for = 0
        self._phase = "reach"

    @property
    def progress(self) -> float:
        """How far the task has come [0 .. 1]."""
        return _PHASES.index(self._phase) / (len(_PHASES) - 1)

    def act(self, truth: WorldTruth) -> np.ndarray:
        """The action (7,) for this step, in the units of ActionCommand."""
        target = truth.object_poses[self._scenario.target]
        tool = truth.tool_position
        held = truth.grasped_object == self._scenario.target
        self._held_for = self._held_for + 1 if held and truth.gripper_command < 0.5 else 0
        self._phase = self._next_phase(truth, target, held)
        self._width = truth.gripper_width
        opening = 1.0 if self._phase in ("reach", "release", "retreat") else 0.0
        limit = self._scale[:3].copy()
        if self._phase == "lower":
            # The arm lags behind its command: at full pace it would press on what is below.
            above = max(0.0, target[2] - self._placed_height)
            limit[2] = min(limit[2], _TOUCHDOWN + _SLOWING * above)
        step = limited(_GAIN * (self._aim(tool, target) - tool), limit)
        rotation = np.zeros(3)
        if self._phase == "reach":
            rotation[2] = np.clip(0.3 * _turn(truth, target), -self._scale[5], self._scale[5])
        return np.array([*step, *rotation, opening])

    def _next_phase(self, truth: WorldTruth, target: np.ndarray, held: bool) -> str:
        tool, phase = truth.tool_position, self._phase
        aside = np.linalg.norm(tool[:2] - target[:2])
        away = np.linalg.norm(target[:2] - self._goal)
        if phase == "reach":
            if self._held_for >= _HELD_STEPS:
                return "lift"
            low = tool[2] < self._grasp_height + 0.008
            return "grasp" if aside < _ALIGNED and low else "reach"
        if phase == "grasp":
            if self._held_for >= _HELD_STEPS:
                return "lift"
            # Slow fingers show for many steps that they close on nothing.
            empty = truth.gripper_width < 1.2 * self._half
            return "reach" if empty or (aside > 2 * _ALIGNED and not held) else "grasp"
        if phase in ("lift", "carry", "lower"):
            empty = truth.gripper_width < 1.2 * self._half or truth.gripper_command > 0.5
            if not held and empty:
                return "reach"
            if target[2] < self._placed_height + 0.008 and away < self._near:
                return "release"
            if away < _NEAR_GOAL:
                return "lower"
            return "carry" if target[2] > self._carry_height - _LIFT_BLEND else "lift"
        if phase == "release":
            if held and target[2] > self._placed_height + 0.02:
                return "carry"
            return "retreat" if truth.gripper_width > 2 * self._half + _LET_GO else "release"
        fallen = abs(target[2] - self._placed_height) > 0.01 or away > self._scenario.goal_radius
        return "reach" if fallen and tool[2] > target[2] + 0.05 else phase

    def _approach_height(self, tool: np.ndarray, target: np.ndarray) -> float:
        """A funnel above the target [m]: the nearer in the plane, the lower.

        A height that jumped when the hand is aligned would teach a student, which sees the
        alignment only roughly, to hover between the two.
        """
        aside = np.linalg.norm(tool[:2] - target[:2])
        height = self._grasp_height - 0.004 + _FUNNEL * max(0.0, aside - _FUNNEL_RADIUS)
        ceiling = 2 * self._half + _HOVER
        if self._scenario.obstacle is not None:
            way = np.clip((aside - 0.06) / 0.06, 0.0, 1.0)
            ceiling += way * max(0.0, self._carry_height - ceiling)
        if self._phase == "reach" and self._width < 2 * self._half + _WIDER:
            height = max(height, 2 * self._half + 0.03)
        return min(height, ceiling)

    def _aim(self, tool: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Where the tool point should go: (3,) [m]."""
        phase = self._phase
        if phase == "reach":
            return np.array([*target[:2], self._approach_height(tool, target)])
        if phase == "grasp":
            return np.array([*tool[:2], self._grasp_height])
        way = self._goal - target[:2]
        away = np.linalg.norm(way)
        if phase in ("lift", "carry"):
            risen = (target[2] - self._carry_height + 2 * _LIFT_BLEND) / _LIFT_BLEND
            # What is oily sinks: the load keeps its height over the obstacle, not the hand.
            height = self._carry_height + tool[2] - target[2]
            return np.array([*(tool[:2] + np.clip(risen, 0.0, 1.0) * way), height])
        if phase == "lower":
            down = self._placed_height + 0.002 + tool[2] - target[2]
            height = down + _FUNNEL * max(0.0, away - _NECK * self._near)
            return np.array([*(tool[:2] + way), min(height, self._carry_height)])
        if phase == "release":
            # The command is below the hand by the arm's lag.
            return np.array([*tool[:2], tool[2] + _REBOUND])
        return np.array([*tool[:2], self._placed_height + 0.13])


def _turn(truth: WorldTruth, target: np.ndarray) -> float:
    """How far the fingers must turn to lie flat on the target's sides [rad]."""
    return quarter_turn(yaw(target[3:]) - yaw(truth.tool_quaternion))
