# SPDX-License-Identifier: Apache-2.0
"""What a policy must know of the robot that it drives."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from salus_policies.kinematics import Chain, KinematicsError

LIMIT_TOLERANCE = 0.05
"""Allowed difference between joint limits of parameters and of the description [rad]."""


class RobotError(ValueError):
    """The parameters that describe the robot contradict each other; the message says where."""


@dataclass(frozen=True)
class RobotDescription:
    """The arm as the node's parameters describe it.

    Attributes:
        joint_names: In the order of Observation.joint_positions.
        joint_lower: Lower limits [rad]; -inf: the joint has none; empty: not known.
        joint_upper: Upper limits [rad]; inf: the joint has none; empty: not known.
        urdf: The robot's URDF as XML; empty: not given, then no policy with joint angles as
            actions can be used.
        tool_link: Link of the URDF whose pose is tool_pose; empty: the last one.
    """

    joint_names: tuple[str, ...]
    joint_lower: tuple[float, ...]
    joint_upper: tuple[float, ...]
    urdf: str = field(default="", repr=False)
    tool_link: str = ""

    def __post_init__(self):
        """Checks the description against the joints.

        Raises:
            RobotError: Numbers of joints and limits differ, or the URDF does not fit.
        """
        if bool(self.joint_lower) != bool(self.joint_upper):
            raise RobotError("joint_lower and joint_upper must be given together, or neither")
        for name in ("joint_lower", "joint_upper") if self.joint_lower else ():
            if len(getattr(self, name)) != len(self.joint_names):
                raise RobotError(
                    f"{name} has {len(getattr(self, name))} values for {len(self.joint_names)} "
                    "joint_names"
                )
        if self.urdf and self.joint_lower:
            self._check_limits()

    @cached_property
    def chain(self) -> Chain:
        """Kinematics from base to tool.

        Raises:
            RobotError: No URDF was given, or it does not fit the joints.
        """
        if not self.urdf:
            raise RobotError("the parameter robot_description is empty: give the robot's URDF")
        try:
            return Chain(self.urdf, self.joint_names, self.tool_link)
        except KinematicsError as error:
            raise RobotError(f"parameter robot_description: {error}") from error

    def _check_limits(self) -> None:
        limits = self.chain.limits
        for name, lower, upper in zip(
            self.joint_names, self.joint_lower, self.joint_upper, strict=True
        ):
            described = limits[name]
            if described is None:
                continue
            if lower < described[0] - LIMIT_TOLERANCE or upper > described[1] + LIMIT_TOLERANCE:
                raise RobotError(
                    f"joint '{name}': limits {lower} to {upper} of the parameters exceed "
                    f"{described[0]} to {described[1]} of the robot's description"
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the inverse of `from_dict`."""
        return {
            "joint_names": list(self.joint_names),
            # JSON has no infinity.
            "joint_lower": [None if math.isinf(value) else value for value in self.joint_lower],
            "joint_upper": [None if math.isinf(value) else value for value in self.joint_upper],
            "urdf": self.urdf,
            "tool_link": self.tool_link,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RobotDescription":
        """From what `to_dict` gave.

        Raises:
            RobotError: A key is missing, or the values contradict each other.
        """
        try:
            return cls(
                tuple(values["joint_names"]),
                tuple(-math.inf if low is None else low for low in values["joint_lower"]),
                tuple(math.inf if high is None else high for high in values["joint_upper"]),
                values.get("urdf", ""),
                values.get("tool_link", ""),
            )
        except (KeyError, TypeError) as error:
            raise RobotError(f"the robot's description lacks {error}") from error


def read_urdf(given: str) -> str:
    """Gives the URDF of a parameter that holds a path or, as in ROS's own tools, the XML itself.

    Args:
        given: Value of the parameter robot_description.

    Returns:
        XML; empty if nothing was given.

    Raises:
        RobotError: There is no such file.
    """
    if not given or given.lstrip().startswith("<"):
        return given
    path = Path(given).expanduser()
    if not path.is_file():
        raise RobotError(f"parameter robot_description: no file {path}, and no XML either")
    return path.read_text(encoding="utf-8")
