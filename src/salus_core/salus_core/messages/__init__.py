"""One way from messages to arrays and back, free of ROS.

Messages are duck-typed: live rclpy objects and those that rosbags reads from a bag work alike.
Functions that fill a message take the message object. Nodes, replay and bag reading use the same
synchroniser and the same episode tracker, so that live and offline accept and refuse the same.
"""

from salus_core.messages.checks import (
    InvalidInputError,
    require_finite,
    require_joint_state,
    require_pose,
)
from salus_core.messages.images import ImageError, fill_image, to_array
from salus_core.messages.proprioception import (
    JOINT_STATES,
    TOOL_POSE,
    BodyNames,
    JointInput,
    JointReading,
    PoseInput,
    pose_values,
)
from salus_core.messages.stamps import fill_stamp, nanoseconds
from salus_core.messages.synchroniser import Input, Matched, Synchroniser

__all__ = [
    "JOINT_STATES",
    "TOOL_POSE",
    "BodyNames",
    "ImageError",
    "Input",
    "InvalidInputError",
    "JointInput",
    "JointReading",
    "Matched",
    "PoseInput",
    "Synchroniser",
    "fill_image",
    "fill_stamp",
    "nanoseconds",
    "pose_values",
    "require_finite",
    "require_joint_state",
    "require_pose",
    "to_array",
]
