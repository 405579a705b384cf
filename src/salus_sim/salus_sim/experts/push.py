"""The teacher of pushing: closed fingers behind the target, then straight to the goal."""

from __future__ import annotations

import numpy as np

from salus_sim.experts.geometry import limited
from salus_sim.scenario import Scenario
from salus_sim.scene import Scene
from salus_sim.world.mujoco_world import WorldTruth

_GAIN = 0.35  # of the remaining way per step, before the limit
_FUNNEL, _FUNNEL_RADIUS = 2.5, 0.028  # slope and neck [m] of the way down behind the target
_HOVER = 0.07  # above the table while going behind the target [m]
_STANDOFF = 0.055  # between the target's side and the tool before contact [m]
_TOUCH = 0.010  # half the closed fingers' thickness [m]
_CLEAR = 0.001  # so far from the target's side the fingers come down [m]
_BLEND_TOP, _BLEND = 0.030, 0.015  # ahead fades in from so far above the pushing height, over [m]
_LANE = 0.060  # the push goes ahead while the tool is so near to its line [m]
_STEERING = 0.8  # gain of the way back to the line over the way ahead
_THERE = 0.012  # the target is this near to its goal: done [m]
_LEFT_ALONE = 0.03  # once done, it is pushed again only beyond this [m]
_PACE, _SLOWING = 0.4, 0.09  # of the longest step while pushing; step per way left
_LOW = 0.018  # so far above its pushing height the tool counts as down [m]


class PushExpert:
    """Pushes the target over the table to the goal; see `experts.Expert`."""

    def __init__(self, scene: Scene, scenario: Scenario) -> None:
        self._scale = np.array(scene.control["action_scale"])
        self._target = scenario.target
        self._half = scenario.objects[scenario.target].half_size
        self._goal = scenario.goal[:2]
        self._height = max(0.015, 0.7 * self._half)
        self._length = np.linalg.norm(self._goal - scenario.objects[scenario.target].position[:2])
        self._done = self._pushing = False
        self.progress = 0.0

    def act(self, truth: WorldTruth) -> np.ndarray:
        """The action (7,) for this step, in the units of ActionCommand."""
        target, tool = truth.object_poses[self._target], truth.tool_position
        way = self._goal - target[:2]
        distance = np.linalg.norm(way)
        self._done = distance < (_LEFT_ALONE if self._done else _THERE)
        self.progress = float(np.clip(1.0 - distance / self._length, 0.0, 1.0))
        aim = self._aim(tool, target[:2], way / max(distance, 1e-6), distance)
        limit = self._scale[:3]
        if self._pushing:
            # The arm lags behind its command: at full pace it would push past the goal.
            limit = np.minimum(_PACE * limit, 0.001 + _SLOWING * distance)
        return np.array([*limited(_GAIN * (aim - tool), limit), 0.0, 0.0, 0.0, 0.0])

    def _aim(
        self, tool: np.ndarray, target: np.ndarray, along: np.ndarray, distance: float
    ) -> np.ndarray:
        """Where the tool point should go: (3,) [m]."""
        self._pushing = False
        if self._done:
            # Back from the target first, then up.
            back = target - along * (self._half + _STANDOFF)
            away = np.linalg.norm(tool[:2] - target) > self._half + _TOUCH + 0.01
            return np.array([*(tool[:2] if away else back), 0.14 if away else tool[2]])
        offset = tool[:2] - target
        forward = float(offset @ along)
        lateral = float(np.linalg.norm(offset - forward * along))
        touching = -(1.15 * self._half + _TOUCH)
        farthest = -(1.15 * self._half + _STANDOFF)
        is_low = tool[2] < self._height + _LOW
        if forward < (-0.8 * self._half if is_low else touching - _CLEAR):
            # Behind: down and onto the line, and the lower and the nearer to the line, the faster
            # ahead. Whoever is nearer than the standoff comes down there: going back while high
            # and ahead once low would be opposite lessons a centimetre apart.
            self._pushing = is_low and forward > touching - 0.012
            low = np.clip((self._height + _BLEND_TOP - tool[2]) / _BLEND, 0.0, 1.0)
            lane = 1.0 - lateral / _LANE
            start = forward + (1.0 - low) * max(farthest - forward, 0.0)
            if lane < 0.0:
                start = min(start, touching - 0.02)
            ahead = low * min(distance, 0.035) * max(lane, 0.0)
            sideways = offset - forward * along
            aim = target + (start + ahead) * along + (1.0 - _STEERING) * sideways
            aside = np.hypot(lateral, max(farthest - forward, 0.0))
        else:
            aim, low = target + along * farthest, 0.0
            aside = np.linalg.norm(tool[:2] - aim)
        above = (1.0 - low) * _FUNNEL * max(0.0, aside - _FUNNEL_RADIUS)
        return np.array([*aim, min(self._height + above, 2 * self._half + _HOVER)])
