# SPDX-License-Identifier: Apache-2.0
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
from salus_core.messages.episodes import Episode, EpisodeTracker, failure_name, outcome
from salus_core.messages.forecasts import read_forecast
from salus_core.messages.images import FITS, ImageError, Picture, fill_image, fitted, to_array
from salus_core.messages.proprioception import (
    JOINT_STATES,
    TOOL_POSE,
    BodyNames,
    JointInput,
    JointReading,
    PoseInput,
    pose_values,
)
from salus_core.messages.scenes import SCENE_ESTIMATE, SceneInput, read_scene
from salus_core.messages.signals import action_spec, check_lengths, step_values
from salus_core.messages.stamps import fill_stamp, nanoseconds
from salus_core.messages.synchroniser import Input, Matched, Synchroniser

__all__ = [
    "FITS",
    "JOINT_STATES",
    "SCENE_ESTIMATE",
    "TOOL_POSE",
    "BodyNames",
    "Episode",
    "EpisodeTracker",
    "ImageError",
    "Input",
    "InvalidInputError",
    "JointInput",
    "JointReading",
    "Matched",
    "Picture",
    "PoseInput",
    "SceneInput",
    "Synchroniser",
    "action_spec",
    "check_lengths",
    "failure_name",
    "fill_image",
    "fill_stamp",
    "fitted",
    "nanoseconds",
    "outcome",
    "pose_values",
    "read_forecast",
    "read_scene",
    "require_finite",
    "require_joint_state",
    "require_pose",
    "step_values",
    "to_array",
]
