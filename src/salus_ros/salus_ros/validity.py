"""Checks of what comes in, with messages that name the joint or field at fault."""

import math
from collections.abc import Iterable, Sequence

from geometry_msgs.msg import Pose
from sensor_msgs.msg import JointState


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
    message: JointState, topic: str = "joint_states", joints: Sequence[str] | None = None
) -> None:
    """Check a joint state: one position per name, everything finite.

    Args:
        message: velocity and effort may be empty, as the standard allows.
        topic: for the error message.
        joints: names that must be there; None: any.

    Raises:
        InvalidInputError: naming the joint and quantity at fault.
    """
    for quantity in ("position", "velocity", "effort"):
        values = getattr(message, quantity)
        if len(values) != len(message.name) and (quantity == "position" or len(values) != 0):
            raise InvalidInputError(
                f"{topic}: {len(message.name)} joints are named, but {len(values)} values of "
                f"{quantity} are given"
            )
        require_finite(topic, values, [f"{quantity} of {name}" for name in message.name])
    missing = [name for name in joints or () if name not in message.name]
    if missing:
        raise InvalidInputError(
            f"{topic}: lacks {', '.join(missing)}; it has {', '.join(message.name) or 'no joints'}"
        )


def require_pose(pose: Pose, topic: str) -> None:
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
