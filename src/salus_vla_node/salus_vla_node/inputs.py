# SPDX-License-Identifier: Apache-2.0
"""From messages to what a policy sees, with every check on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from salus_msgs.msg import Step
from sensor_msgs.msg import JointState

from salus_policies.backends.base import Observation
from salus_policies.policy import MonitoredPolicy
from salus_ros.images import to_array
from salus_ros.validity import require_joint_state, require_pose
from salus_vla_node.parameters import JOINT_STATES, TOOL_POSE


@dataclass(frozen=True)
class Job:
    """One observation on its way to the policy.

    Attributes:
        step: Gives stamp, frame, episode and number.
        observation: For the policy.
        policy: That it was made for: load_checkpoint may bring another one, with other cameras.
        received: When it was complete, by time.perf_counter [s].
    """

    step: Step
    observation: Observation
    policy: MonitoredPolicy
    received: float


@dataclass(frozen=True)
class Camera:
    """One camera of the policy.

    Attributes:
        topic: Where its images come from.
        shape: (height, width) that they must have.
    """

    topic: str
    shape: tuple[int, int]


def camera_topics(
    needed: Mapping[str, tuple[int, int]], entries: Sequence[str]
) -> dict[str, Camera]:
    """Gives each camera of the policy its topic.

    Args:
        needed: (height, width) by name, from PolicyInfo.
        entries: The parameter camera_topics: 'NAME=topic' each; empty strings are skipped.

    Returns:
        The cameras by name.

    Raises:
        ValueError: An entry has another form, or names a camera that the policy does not use.
    """
    given = {}
    for entry in filter(None, entries):
        name, separator, topic = entry.partition("=")
        if not (name and separator and topic):
            raise ValueError(f"parameter 'camera_topics': '{entry}' is not of the form NAME=topic")
        if name not in needed:
            raise ValueError(
                f"parameter 'camera_topics': the policy has no camera '{name}', it has "
                f"{', '.join(needed)}"
            )
        given[name] = topic
    return {
        name: Camera(given.get(name, f"camera/{name}/image_raw"), shape)
        for name, shape in needed.items()
    }


def build_observation(
    step: int,
    messages: Mapping[str, Any],
    cameras: Mapping[str, Camera],
    joint_names: Sequence[str],
    finger_joint_names: Sequence[str],
    instruction: str,
) -> Observation:
    """Checks the messages of one observation and converts them.

    Args:
        step: Number of the step.
        messages: Image by camera name, JointState and PoseStamped where the robot has them.
        cameras: Those of the policy.
        joint_names: The policy's order of joints.
        finger_joint_names: Joints whose positions add up to the gripper's width.
        instruction: For the policy.

    Returns:
        The observation; images share the messages' memory. What the robot lacks is None.

    Raises:
        ImageError: An image has another size or encoding; names topic, got and expected.
        InvalidInputError: NaN, a missing joint or a bad pose; names the topic and element.
    """
    seen: dict[str, Any] = dict.fromkeys(
        ("joint_positions", "joint_velocities", "tool_position", "tool_quaternion", "gripper_width")
    )
    if JOINT_STATES in messages:
        joints: JointState = messages[JOINT_STATES]
        require_joint_state(joints, JOINT_STATES, [*joint_names, *finger_joint_names])
        index = {name: i for i, name in enumerate(joints.name)}
        order = [index[name] for name in joint_names]
        positions = np.array(joints.position, np.float64)
        if order:
            seen["joint_positions"] = positions[order]
            # The standard allows a robot that measures no velocities.
            if joints.velocity:
                seen["joint_velocities"] = np.array(joints.velocity, np.float64)[order]
        if finger_joint_names:
            seen["gripper_width"] = float(sum(positions[index[n]] for n in finger_joint_names))
    if TOOL_POSE in messages:
        pose: PoseStamped = messages[TOOL_POSE]
        require_pose(pose.pose, TOOL_POSE)
        position, orientation = pose.pose.position, pose.pose.orientation
        seen["tool_position"] = np.array([position.x, position.y, position.z])
        seen["tool_quaternion"] = np.array(
            [orientation.x, orientation.y, orientation.z, orientation.w]
        )
    return Observation(
        images={
            name: to_array(messages[name], camera.topic, camera.shape)
            for name, camera in cameras.items()
        },
        instruction=instruction,
        step=step,
        **seen,
    )
