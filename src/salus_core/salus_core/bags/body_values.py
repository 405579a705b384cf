"""Proprioception out of messages, live ones or those of a bag (no ROS needed)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from salus_core.episode_store.schema import POSE_NAMES


def body_values(joints: Any, pose: Any, names: Sequence[str]) -> np.ndarray:
    """The body's state in a checkpoint's order; NaN: the messages do not have it.

    Args:
        joints: sensor_msgs/JointState.
        pose: geometry_msgs/PoseStamped of the tool.
        names: `position.JOINT`, `velocity.JOINT`, `tool.x` and so on.

    Returns:
        (P,) float32.
    """
    position, turn = pose.pose.position, pose.pose.orientation
    numbers = (position.x, position.y, position.z, turn.x, turn.y, turn.z, turn.w)
    known = {f"tool.{axis}": value for axis, value in zip(POSE_NAMES, numbers, strict=True)}
    for quantity in ("position", "velocity"):
        values = getattr(joints, quantity)  # velocities may be absent
        known |= {
            f"{quantity}.{name}": value for name, value in zip(joints.name, values, strict=False)
        }
    return np.array([known.get(name, np.nan) for name in names], np.float32)
