"""What the auxiliary head learns to read off the latent."""

from __future__ import annotations

import numpy as np

from salus_sim.experts.geometry import yaw
from salus_sim.scenario import Scenario
from salus_sim.slip import PAD_HALF_WIDTH, PAD_HIGH, PAD_LOW
from salus_sim.world.mujoco_world import MujocoWorld, WorldTruth

_GRASP_RANGE, _CLEARANCE_RANGE, _GAP_RANGE = 0.08, 0.15, 0.10  # [m]
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
            *np.clip(target - tool, -_GRASP_RANGE, _GRASP_RANGE),
            _clearance(tool, obstacle),
            _load_gap(truth, scenario),
            float(_enclosed(truth, scenario)),
            float(truth.grasped_object == scenario.target),
            float(scenario.objects[scenario.target].slippery),
            progress,
        ]
    )


def scene_points(world: MujocoWorld, truth: WorldTruth, cameras: tuple[str, ...]) -> np.ndarray:
    """Where `config.SCENE_POINTS` are in the images: (C, P, 2), NaN where not in the image."""
    scenario = world.scenario
    top = np.full(3, np.nan)
    if scenario.obstacle is not None:
        top = scenario.obstacle[[0, 1, 5]]
    points = np.stack([truth.object_poses[scenario.target][:3], scenario.goal, top])
    return np.stack([world.project(camera, points) for camera in cameras])


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


def _enclosed(truth: WorldTruth, scenario: Scenario) -> bool:
    """Whether the target is between the fingers, so that closing would grasp it."""
    half = scenario.objects[scenario.target].half_size
    offset = truth.object_poses[scenario.target][:3] - truth.tool_position
    turn = yaw(truth.tool_quaternion)
    across, along = (
        offset[:2] @ [np.cos(turn), np.sin(turn)],
        offset[:2] @ [-np.sin(turn), np.cos(turn)],
    )
    overlap = min(offset[2] + half, PAD_HIGH) - max(offset[2] - half, -PAD_LOW)
    return bool(
        abs(along) + 0.9 * half < truth.gripper_width / 2
        and abs(across) < half + PAD_HALF_WIDTH - _HOLD
        and overlap > _HOLD
    )


def _clearance(tool: np.ndarray, obstacle: np.ndarray | None) -> float:
    """Distance of the tool point from the obstacle's box, at most _CLEARANCE_RANGE [m]."""
    if obstacle is None:
        return _CLEARANCE_RANGE
    x, y, yaw, half_x, half_y, height = obstacle
    along, across = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
    offset = tool[:2] - (x, y)
    outside = [abs(offset @ along) - half_x, abs(offset @ across) - half_y, tool[2] - height]
    return min(float(np.linalg.norm(np.maximum(outside, 0.0))), _CLEARANCE_RANGE)
