"""The teacher of pushing: open fingers around the target, then one of them pushes it to the goal.

The hand comes down on the target as if to pick it, with the fingers in line with the way to the
goal, and then moves ahead: the target is caged, so a student need not tell "behind" from "beside".
"""

from __future__ import annotations

import numpy as np

from salus_sim.experts.geometry import half_turn, limited, sink, yaw
from salus_sim.scenario import Scenario
from salus_sim.scene import Scene
from salus_sim.world.mujoco_world import WorldTruth

_GAIN, _TURN_GAIN = 0.35, 0.3  # of the remaining way and turn per step, before the limit
_FITS = 0.022  # offset at which the fingers come down around it, however they are turned [m]
_FAR, _HOVER, _CLEAR = 0.06, 0.08, 0.03  # further away, and nearer, it stays so far above [m]
_DOWN = 0.007  # longest step down [m]
_LOW = 0.014  # so far above its pushing height the tool counts as down [m]
_CAGE = 0.042, 0.022  # the target is between the fingers: along and across them [m]
_BESIDE = 0.020, 0.045  # here it is beside them: they go on sideways, low as they are [m]
_PACE, _SLOWING = 0.4, 0.09  # of the longest step while pushing; step per way left
_TURNING, _SLOWEST = 0.8, 0.25  # slower by the turn that is left [rad], down to this share
_STEERING = 0.3  # of the sideways offset per step while pushing
_THERE, _LEFT_ALONE = 0.012, 0.03  # the target is done when so near to its goal, until further [m]
_FIXED = 0.04  # nearer to the goal the direction of the push stays [m]


class PushExpert:
    """Pushes the target over the table to the goal; see `experts.Expert`."""

    def __init__(self, scene: Scene, scenario: Scenario) -> None:
        self._scale = np.array(scene.control["action_scale"])
        self._target = scenario.target
        start = scenario.objects[scenario.target]
        self._half = start.half_size
        self._goal = scenario.goal[:2]
        self._height = max(0.014, 0.8 * self._half)
        way = self._goal - start.position[:2]
        self._length = float(np.linalg.norm(way))
        self._along = way / self._length
        self._done = False
        self.progress = 0.0

    def act(self, truth: WorldTruth) -> np.ndarray:
        """The action (7,) for this step, in the units of ActionCommand."""
        target, tool = truth.object_poses[self._target][:2], truth.tool_position
        way = self._goal - target
        distance = float(np.linalg.norm(way))
        if distance > _FIXED:
            self._along = way / distance
        self._done = distance < (_LEFT_ALONE if self._done else _THERE)
        self.progress = float(np.clip(1.0 - distance / self._length, 0.0, 1.0))
        turn = half_turn(
            float(np.arctan2(*self._along[::-1])) - np.pi / 2 - yaw(truth.tool_quaternion)
        )
        step = self._step(tool, target, distance, abs(turn))
        rotation = np.clip(_TURN_GAIN * turn, -self._scale[5], self._scale[5])
        return np.array([*step, 0.0, 0.0, rotation, 1.0])

    def _step(
        self, tool: np.ndarray, target: np.ndarray, distance: float, turn: float
    ) -> np.ndarray:
        """The tool point's motion (3,) [m]."""
        limit = self._scale[:3]
        offset = target - tool[:2]
        ahead = float(offset @ self._along)
        across = offset - ahead * self._along
        if self._done:
            return limited(_GAIN * np.array([0.0, 0.0, 0.14 - tool[2]]), limit)
        sideways = float(np.linalg.norm(across))
        caged = abs(ahead) < _CAGE[0] and sideways < _CAGE[1]
        beside = abs(ahead) < _BESIDE[0] and sideways < _BESIDE[1]
        if (caged or beside) and tool[2] < self._height + _LOW:
            # The arm lags behind its command: at full pace it would push past the goal.
            pace = min(_PACE * limit[0], 0.001 + _SLOWING * distance) if caged else 0.0
            pace *= max(_SLOWEST, 1.0 - turn / _TURNING)
            plane = pace * self._along + _STEERING * across
            return limited(np.array([*plane, _GAIN * (self._height - tool[2])]), limit)
        aside = float(np.linalg.norm(offset))
        if aside > _FAR:
            up = _GAIN * (2 * self._half + _HOVER - tool[2])
        else:
            clear = 2 * self._half + _CLEAR - tool[2]
            up = sink(aside, _FITS, self._height - 0.004 - tool[2], clear, _DOWN)
        return limited(np.array([*(_GAIN * offset), up]), limit)
