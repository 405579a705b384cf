# SPDX-License-Identifier: Apache-2.0
"""The robot's own state: which joints there are, within which bounds, and what a policy sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from salus_core.messages import (
    JOINT_STATES,
    TOOL_POSE,
    Input,
    InvalidInputError,
    JointInput,
    JointReading,
    PoseInput,
    pose_values,
)
from salus_ros.managed_node import ConfigureError
from salus_vla_node.parameters import VlaParameters

MAX_TOOL_DISTANCE = 100.0
"""A tool further from the origin of its frame is a fault of its driver [m]."""


@dataclass(frozen=True)
class Body:
    """Joints and tool, as far as an observation needs them.

    Attributes:
        joints: J names in the policy's order.
        fingers: joints whose positions add up to the gripper's width.
        lower: (J,) limits [rad, m]; empty: none is known.
        upper: (J,) as `lower`.
        margin: a position further beyond its limit is refused [rad, m].
        tool: the robot tells where its tool is.
    """

    joints: tuple[str, ...]
    fingers: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    margin: float
    tool: bool

    @classmethod
    def of(cls, given: VlaParameters) -> "Body":
        """Take it from parameters; a robot of which no joint has a limit has no limits.

        Raises:
            ConfigureError: limits and joints do not fit.
        """
        read = JOINT_STATES in given.inputs
        joints = tuple(filter(None, given.joint_names)) if read else ()
        fingers = tuple(filter(None, given.finger_joint_names)) if read else ()
        limits = {name: tuple(getattr(given, name)) for name in ("joint_lower", "joint_upper")}
        if not joints or not np.isfinite(sum(limits.values(), ())).any():
            limits = dict.fromkeys(limits, ())
        for name, values in limits.items():
            if values and len(values) != len(joints):
                raise ConfigureError(
                    f"parameter '{name}' has {len(values)} values for {len(joints)} joint_names"
                )
        lower, upper = limits.values()
        for name, low, high in zip(joints if lower else (), lower, upper, strict=True):
            if not low < high:
                raise ConfigureError(f"joint_lower {low} is not below joint_upper {high}: {name}")
        return cls(joints, fingers, lower, upper, given.joint_margin, TOOL_POSE in given.inputs)

    @property
    def inputs(self) -> list[Input]:
        """What a synchroniser needs for it."""
        named = (*self.joints, *self.fingers)
        joints: list[Input] = [JointInput(named)] if named else []
        return [*joints, *([PoseInput()] if self.tool else [])]

    def read(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of Observation; None: the robot does not tell.

        Args:
            values: JointReading and PoseStamped, by the inputs' names.

        Raises:
            InvalidInputError: a value is beyond its bounds; names topic, element and bound.
        """
        seen: dict[str, Any] = dict.fromkeys(
            (
                "joint_positions",
                "joint_velocities",
                "tool_position",
                "tool_quaternion",
                "gripper_width",
            )
        )
        if JOINT_STATES in values:
            reading: JointReading = values[JOINT_STATES]
            if self.joints:
                seen["joint_positions"] = reading.positions(self.joints)
                self._check_joints(seen["joint_positions"])
                velocities = reading.velocities(self.joints)
                # The standard allows a robot that measures no velocities, or not all of them.
                seen["joint_velocities"] = None if np.isnan(velocities).any() else velocities
            if self.fingers:
                seen["gripper_width"] = float(sum(reading.positions(self.fingers)))
        if TOOL_POSE in values:
            pose = pose_values(values[TOOL_POSE].pose)
            if (distance := float(np.linalg.norm(pose[:3]))) > MAX_TOOL_DISTANCE:
                raise InvalidInputError(
                    f"{TOOL_POSE}: the tool is {distance:.4g} m from the origin of its frame, more "
                    f"than {MAX_TOOL_DISTANCE:g} m: check its driver and its frame"
                )
            seen["tool_position"], seen["tool_quaternion"] = pose[:3], pose[3:]
        return seen

    def _check_joints(self, positions: np.ndarray) -> None:
        for name, value, low, high in zip(
            self.joints if self.lower else (), positions, self.lower, self.upper, strict=False
        ):
            if not low - self.margin <= value <= high + self.margin:
                raise InvalidInputError(
                    f"{JOINT_STATES}: position of {name} is {value:.4g}, more than joint_margin "
                    f"({self.margin:g}) beyond its limits {low:g} to {high:g}: check the joint's "
                    "unit and offset, or the parameters joint_lower and joint_upper"
                )
