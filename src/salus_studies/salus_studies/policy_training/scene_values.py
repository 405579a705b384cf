# SPDX-License-Identifier: Apache-2.0
"""What the auxiliary head learns to read off the latent."""

from __future__ import annotations

import numpy as np

from salus_policies.backends.embedded.config import EmbeddedConfig
from salus_policies.backends.embedded.inputs import view_points
from salus_sim.experts.geometry import quarter_turn, yaw
from salus_sim.scenario import Scenario
from salus_sim.slip import PAD_HALF_WIDTH, PAD_HIGH, PAD_LOW
from salus_sim.world.mujoco_world import MujocoWorld, WorldTruth

_REACH_ASIDE, _REACH_UP = 0.06, 0.08  # the target is near the tool, in the plane and up [m]
_CLEARANCE_RANGE, _GAP_RANGE = 0.15, 0.10  # [m]
_CLOSE = 0.12  # the corners of a target so near to the tool are taught [m]
_FINGER_HALF = 0.006  # of a finger's thickness [m]
WRIST = "wrist"  # the camera that sees the hand
_HOLD = 0.004  # so much of the target is between the pads [m]


def scene_values(truth: WorldTruth, scenario: Scenario, progress: float) -> np.ndarray:
    """The values (S,) named by `config.SCENE_TARGETS`; lengths in metres, NaN: not defined."""
    target = truth.object_poses[scenario.target][:3]
    tool, obstacle = truth.tool_position, scenario.obstacle
    there = [0.0, np.nan, np.nan, np.nan]
    if obstacle is not None:
        there = [1.0, obstacle[0], obstacle[1], obstacle[5]]
    if fallen(truth, scenario):
        # Metres below the table: one such step outweighs a thousand others in a squared error.
        target = np.full(3, np.nan)
    others = [pose[:2] for name, pose in truth.object_poses.items() if name != scenario.target]
    nearest = min(others, key=lambda p: np.linalg.norm(p - tool[:2]), default=(np.nan, np.nan))
    return np.array(
        [
            *target,
            *scenario.goal,
            *there,
            *nearest,
            *_in_hand(truth, scenario, target),
            _clearance(tool, obstacle),
            _load_gap(truth, scenario),
            float(truth.grasped_object == scenario.target),
            float(scenario.objects[scenario.target].slippery),
            progress,
        ]
    )


def hand_offset(truth: WorldTruth, place: np.ndarray) -> tuple[float, float, float]:
    """A place (3,) from the tool point: across the fingers, along their motion, upwards [m]."""
    offset, turn = place - truth.tool_position, yaw(truth.tool_quaternion)
    across = offset[:2] @ [np.cos(turn), np.sin(turn)]
    along = offset[:2] @ [-np.sin(turn), np.cos(turn)]
    return float(across), float(along), float(offset[2])


def scene_points(world: MujocoWorld, truth: WorldTruth, config: EmbeddedConfig) -> np.ndarray:
    """Where `config.SCENE_POINTS` are in the views: (C, P, 2), NaN where not in the view."""
    scenario = world.scenario
    top = np.full(3, np.nan)
    if scenario.obstacle is not None:
        top = scenario.obstacle[[0, 1, 5]]
    target = truth.object_poses[scenario.target]
    close = _close_points(truth, target, scenario.objects[scenario.target].half_size)
    points = np.vstack([target[:3], scenario.goal, top, close])
    seen = np.stack([view_points(world.project(c, points), c, config) for c in config.cameras])
    for i, camera in enumerate(config.cameras):
        if camera != WRIST:
            seen[i, -len(close) :] = np.nan
    return seen


def _close_points(truth: WorldTruth, target: np.ndarray, half: float) -> np.ndarray:
    """Both fingertips and the corners of the target's top face: (6, 3) [m]; NaN beyond reach."""
    tool, hand = truth.tool_position, yaw(truth.tool_quaternion)
    tips = tool + _along((0.0, truth.gripper_width / 2 + _FINGER_HALF), hand, -PAD_LOW)
    turn = hand + quarter_turn(yaw(target[3:]) - hand)
    corners = target[:3] + np.vstack([_along((side * half, half), turn, half) for side in (1, -1)])
    if np.linalg.norm(target[:3] - tool) > _CLOSE:
        corners[:] = np.nan
    return np.vstack([tips, corners])


def _along(place: tuple[float, float], turn: float, up: float) -> np.ndarray:
    """Two places (2, 3) mirrored across a turned frame's first axis."""
    ahead, aside = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    return np.stack([[*(place[0] * ahead + side * place[1] * aside), up] for side in (1, -1)])


def fallen(truth: WorldTruth, scenario: Scenario) -> bool:
    """Whether the target has left the table."""
    return bool(truth.object_poses[scenario.target][2] < 0.0)


def _load_gap(truth: WorldTruth, scenario: Scenario) -> float:
    """Height over the obstacle's top of what is lowest of the fingers and what they hold [m]."""
    if scenario.obstacle is None:
        return np.nan
    lowest = truth.tool_position[2] - PAD_LOW
    if truth.grasped_object == scenario.target:
        half = scenario.objects[scenario.target].half_size
        lowest = min(lowest, truth.object_poses[scenario.target][2] - half)
    return float(np.clip(lowest - scenario.obstacle[5], -_GAP_RANGE, _GAP_RANGE))


def _in_hand(truth: WorldTruth, scenario: Scenario, target: np.ndarray) -> list[float]:
    """Offset of the target from the tool in the hand's frame, half its size, and if it is enclosed.

    Enclosed: closing would grasp it. Offset and this are NaN beyond reach, as what decides in the
    last centimetres would be lost in what the whole table needs.
    """
    half = scenario.objects[scenario.target].half_size
    across, along, up = hand_offset(truth, target)
    if not (np.hypot(across, along) < _REACH_ASIDE and abs(up) < _REACH_UP):
        return [np.nan, np.nan, np.nan, half, np.nan]
    overlap = min(up + half, PAD_HIGH) - max(up - half, -PAD_LOW)
    enclosed = (
        abs(along) + 0.9 * half < truth.gripper_width / 2
        and abs(across) < half + PAD_HALF_WIDTH - _HOLD
        and overlap > _HOLD
    )
    return [across, along, up, half, float(enclosed)]


def _clearance(tool: np.ndarray, obstacle: np.ndarray | None) -> float:
    """Distance of the tool point from the obstacle's box, at most _CLEARANCE_RANGE [m]."""
    if obstacle is None:
        return _CLEARANCE_RANGE
    x, y, yaw, half_x, half_y, height = obstacle
    along, across = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
    offset = tool[:2] - (x, y)
    outside = [abs(offset @ along) - half_x, abs(offset @ across) - half_y, tool[2] - height]
    return min(float(np.linalg.norm(np.maximum(outside, 0.0))), _CLEARANCE_RANGE)
