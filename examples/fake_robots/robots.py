# SPDX-License-Identifier: Apache-2.0
"""Three robots as data: what they publish, and what their controllers take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE = 30.0
"""Frames of each camera a second."""
WIDTH, HEIGHT = 640, 480
LATENCY = 0.08
"""A frame is published so long after its stamp [s]."""
PACE = 0.6
"""Largest change of each number a second, in units of its range."""


@dataclass(frozen=True)
class Robot:
    """One robot.

    Attributes:
        joints: names on `joint_states`.
        gripper: joint of the gripper, in messages of its own without velocities; empty: none.
        cameras: names; /NAME/image_raw.
        joint_rate: messages of `joint_states` a second.
        low: (n,) lower ends of the numbers that the task is about: joint positions [rad], or the
            tool's position [m] and rotation vector [rad].
        high: (n,) upper ends.
        takes: "twist" (geometry_msgs/TwistStamped), "positions" (std_msgs/Float64MultiArray) or
            "trajectory" (trajectory_msgs/JointTrajectory).
        topic: that its controller listens to.
    """

    joints: tuple[str, ...]
    gripper: str
    cameras: tuple[str, ...]
    joint_rate: float
    low: np.ndarray
    high: np.ndarray
    takes: str
    topic: str

    @property
    def by_tool(self) -> bool:
        """It is commanded by motions of its tool."""
        return self.takes == "twist"

    def joint_positions(self, state: np.ndarray) -> np.ndarray:
        """Of the arm, in a state (n,)."""
        return _MIX @ state if self.by_tool else state


_MIX = np.eye(6) + 0.3 * np.sin(np.arange(36)).reshape(6, 6)
"""Stands for the kinematics of the arm that is commanded by its tool."""

_UR5E = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
_ALOHA = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")
_SO101 = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")

ROBOTS = {
    "ur5e": Robot(
        joints=tuple(f"{name}_joint" for name in _UR5E),
        gripper="robotiq_85_left_knuckle_joint",
        cameras=("scene", "wrist"),
        joint_rate=500.0,
        low=np.array([0.2, -0.3, 0.0, -0.5, -0.5, -0.5]),
        high=np.array([0.6, 0.3, 0.4, 0.5, 0.5, 0.5]),
        takes="twist",
        topic="/servo_node/delta_twist_cmds",
    ),
    "aloha": Robot(
        joints=tuple(f"{side}_{name}" for side in ("left", "right") for name in _ALOHA),
        gripper="",
        cameras=("high",),
        joint_rate=100.0,
        low=np.full(14, -1.0),
        high=np.full(14, 1.0),
        takes="positions",
        topic="/arms_controller/commands",
    ),
    "so101": Robot(
        joints=_SO101,
        gripper="",
        cameras=("top",),
        joint_rate=100.0,
        low=np.full(5, -1.2),
        high=np.full(5, 1.2),
        takes="trajectory",
        topic="/arm_controller/joint_trajectory",
    ),
}
"""By name."""
