"""The teacher of picking and placing: on the disc, in the tray, on another cube."""

from __future__ import annotations

import numpy as np

from salus_sim.experts.geometry import limited, quarter_turn, sink, yaw
from salus_sim.scenario import Scenario
from salus_sim.scene import Scene
from salus_sim.tasks import STACK
from salus_sim.world.mujoco_world import WorldTruth

_GAIN = 0.35  # of the remaining way per step, before the limit
_ALIGNED = 0.016  # the hand closes when it is this near to the target in the plane [m]
_OPEN, _FITS = 0.036, (0.011, 0.020)  # fingers fit around a target of a half so much smaller [m]
_FAR, _HOVER, _CLEAR = 0.06, 0.10, 0.03  # further away, and nearer, it stays so far above [m]
_DOWN = 0.012  # longest step down around the target [m]
_CARRY_GAP = 0.020  # between the obstacle's top and the carried target [m]
_CAREFUL = 0.6  # of the longest step while carrying: who carries too low is seen to before it hits
_NEAR_GOAL = 0.05  # here the way down begins [m]
_LIFT_BLEND = 0.025  # below the carrying height sideways motion fades in over this [m]
_DEPTH, _LOWEST = 0.006, 0.014  # the fingers hold it so far below its centre, not lower [m]
_HURRIED = (1.0, 0.036, 0.010, 0.012)  # _CAREFUL, _LIFT_BLEND, _DEPTH and _LOWEST in a hurry
_WIDER = 0.012  # the fingers come down around it only when so much wider open than it is [m]
_TOUCHDOWN, _SLOWING = 0.003, 0.12  # steps down at the end of the way down [m], per way left
_LANDED, _AGAIN = 0.008, 0.012  # above its place it is let go [m], and lowered again from here on
_REBOUND, _DEEPEST = 0.0014, 0.003  # letting go: up per step while so deep on it [m]
_HELD_STEPS = 4  # until the fingers press
_LET_GO = 0.012  # the hand rises once it is so much wider open than the target is [m]
_PHASES = ("reach", "grasp", "lift", "carry", "lower", "release", "retreat")


class PickPlaceExpert:
    """Picks the target and sets it down on the goal, over the obstacle; see `experts.Expert`."""

    def __init__(self, scene: Scene, scenario: Scenario, fast_transport: bool = True) -> None:
        self._scale = np.array(scene.control["action_scale"])
        self._scenario = scenario
        self._goal = scenario.goal[:2]
        target = scenario.objects[scenario.target]
        self._half = target.half_size
        manner = (_CAREFUL, _LIFT_BLEND, _DEPTH, _LOWEST)
        if fast_transport and target.slippery:
            manner = _HURRIED
        self._pace, self._blend, depth, lowest = manner
        self._placed_height = scenario.goal[2] + self._half
        # A cube on a cube must be let go nearer to its goal than one on the disc.
        stacking = scenario.task == STACK
        self._near = 0.020 if stacking else 0.03
        # Fingers deep on the target would reach the cube below it.
        self._grasp_height = max(lowest, self._half - (0.0 if stacking else depth))
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
        if self._phase in ("lift", "carry"):
            limit[:2] *= self._pace
        if self._phase == "lower":
            # The arm lags behind its command: at full pace it would press on what is below.
            above = max(0.0, target[2] - self._placed_height)
            limit[2] = min(limit[2], _TOUCHDOWN + _SLOWING * above)
        step = limited(self._motion(tool, target, limit[2]), limit)
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
            if target[2] < self._placed_height + _LANDED and away < self._near:
                return "release"
            if away < _NEAR_GOAL:
                return "lower"
            return "carry" if target[2] > self._carry_height - self._blend else "lift"
        if phase == "release":
            if held and target[2] > self._placed_height + _AGAIN:
                return "lower"
            return "retreat" if truth.gripper_width > 2 * self._half + _LET_GO else "release"
        fallen = abs(target[2] - self._placed_height) > 0.01 or away > self._scenario.goal_radius
        return "reach" if fallen and tool[2] > target[2] + 0.05 else phase

    def _height(self, tool: np.ndarray, target: np.ndarray) -> float:
        """Height of the tool to stay at while the target is still far [m]: over the obstacle."""
        height = 2 * self._half + _HOVER
        if self._scenario.obstacle is None:
            return height
        far = np.clip((np.linalg.norm(tool[:2] - target[:2]) - _FAR) / 0.06, 0.0, 1.0)
        return height + far * max(0.0, self._carry_height - height)

    def _up(self, tool: np.ndarray, target: np.ndarray, limit: float) -> float:
        """Motion along z while reaching for the target [m]."""
        aside = float(np.linalg.norm(tool[:2] - target[:2]))
        if aside > _FAR:
            return _GAIN * (self._height(tool, target) - tool[2])
        wide = self._width > 2 * self._half + _WIDER
        fits = float(np.clip(_OPEN - self._half, *_FITS)) if wide else 0.0
        clear = 2 * self._half + _CLEAR - tool[2]
        return sink(aside, fits, self._grasp_height - 0.004 - tool[2], clear, min(_DOWN, limit))

    def _motion(self, tool: np.ndarray, target: np.ndarray, limit: float) -> np.ndarray:
        """How the tool point should move, before limits: (3,) [m]."""
        phase = self._phase
        if phase == "reach":
            return np.array([*_GAIN * (target[:2] - tool[:2]), self._up(tool, target, limit)])
        if phase == "grasp":
            return np.array([0.0, 0.0, _GAIN * (self._grasp_height - tool[2])])
        way = self._goal - target[:2]
        if phase in ("lift", "carry"):
            risen = (target[2] - self._carry_height + 2 * self._blend) / self._blend
            # What is oily sinks: the load keeps its height over the obstacle, not the hand.
            up = _GAIN * (self._carry_height - target[2])
            return np.array([*_GAIN * np.clip(risen, 0.0, 1.0) * way, up])
        if phase == "lower":
            down = self._placed_height + 0.002 - target[2]
            clear = min(down + 0.03, self._carry_height - tool[2])
            away = float(np.linalg.norm(way))
            up = sink(away, self._near, down, clear, limit)
            if target[2] > self._placed_height:
                # Not up: who is unsure if this is near enough would hover over the place.
                up = min(0.0, up)
            return np.array([*_GAIN * way, up])
        if phase == "release":
            # The hand still comes down by the arm's lag, and would press on what is below.
            return np.array([0.0, 0.0, _REBOUND if tool[2] < target[2] - _DEEPEST else 0.0])
        return np.array([0.0, 0.0, _GAIN * (self._placed_height + 0.13 - tool[2])])


def _turn(truth: WorldTruth, target: np.ndarray) -> float:
    """How far the fingers must turn to lie flat on the target's sides [rad]."""
    return quarter_turn(yaw(target[3:]) - yaw(truth.tool_quaternion))
