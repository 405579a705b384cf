# SPDX-License-Identifier: Apache-2.0
"""Checks of what comes in, with messages that name the joint or field at fault."""

import math
from collections.abc import Iterable, Sequence
from typing import Any


class InvalidInputError(ValueError):
    """A message that must not be used; says which element of which topic is wrong."""


def require_finite(topic: str, values: Iterable[float], names: Sequence[str] | None = None) -> None:
    """Check that all values are finite.

    Args:
        topic: for the error message.
        values: numbers.
        names: one per value, for the error message; None: the index is named.

    Raises:
        InvalidInputError: naming the first value that is NaN or infinite.
    """
    for index, value in enumerate(values):
        if not math.isfinite(value):
            name = names[index] if names is not None else f"element {index}"
            raise InvalidInputError(f"{topic}: {name} is {value}")


def require_joint_state(
    message: Any, topic: str = "joint_states", joints: Sequence[str] | None = None
) -> None:
    """Check a joint state: one position per name, and the joints that are asked for finite.

    A velocity that is NaN is an absent velocity. Joints that nobody asks for are not looked at.

    Args:
        message: sensor_msgs/JointState; velocity and effort may be empty, as the standard allows.
        topic: for the error message.
        joints: names that must be there; None: all that the message names.

    Raises:
        InvalidInputError: naming the joint and quantity at fault.
    """
    names = list(message.name)
    for quantity in ("position", "velocity", "effort"):
        values = getattr(message, quantity)
        if len(values) != len(names) and (quantity == "position" or len(values) != 0):
            raise InvalidInputError(
                f"{topic}: {len(names)} joints are named, but {len(values)} values of "
                f"{quantity} are given"
            )
    asked = names if joints is None else list(joints)
    missing = [name for name in asked if name not in names]
    if missing:
        raise InvalidInputError(
            f"{topic}: lacks {', '.join(missing)}; it has {', '.join(names) or 'no joints'}"
        )
    positions = [message.position[names.index(name)] for name in asked]
    require_finite(topic, positions, [f"position of {name}" for name in asked])
    if len(message.velocity):
        velocities = [message.velocity[names.index(name)] for name in asked]
        for name, value in zip(asked, velocities, strict=True):
            if math.isinf(value):
                raise InvalidInputError(f"{topic}: velocity of {name} is {value}")


def require_pose(pose: Any, topic: str) -> None:
    """Check a pose: finite, with a quaternion of unit length (to 1 %).

    Raises:
        InvalidInputError: naming the component at fault.
    """
    position, orientation = pose.position, pose.orientation
    quaternion = (orientation.x, orientation.y, orientation.z, orientation.w)
    require_finite(
        topic,
        (position.x, position.y, position.z, *quaternion),
        [f"position.{axis}" for axis in "xyz"] + [f"orientation.{axis}" for axis in "xyzw"],
    )
    length = math.hypot(*quaternion)
    if abs(length - 1.0) > 0.01:
        raise InvalidInputError(f"{topic}: orientation has length {length:.4g}, not 1")
