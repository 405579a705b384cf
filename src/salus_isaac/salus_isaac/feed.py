# SPDX-License-Identifier: Apache-2.0
"""Receives what Isaac Sim's own nodes publish and hands it on tick by tick."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState

from salus_core.messages import nanoseconds
from salus_isaac.frames import CLOCK, Frame, FrameMatcher
from salus_isaac.interface import Interface, Profile
from salus_isaac.simulator import SimulatorError

JOINTS = "joint_states"
_TYPES = {
    "rosgraph_msgs/msg/Clock": Clock,
    "sensor_msgs/msg/JointState": JointState,
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/CameraInfo": CameraInfo,
}


def image_key(camera: str) -> str:
    """Key of a camera's image in a frame."""
    return f"{camera}/image_raw"


def info_key(camera: str) -> str:
    """Key of a camera's intrinsics in a frame."""
    return f"{camera}/camera_info"


def ros_profile(profile: Profile) -> QoSProfile:
    """The quality of service as rclpy takes it."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=profile.depth,
        reliability=ReliabilityPolicy[profile.reliability.upper()],
        durability=DurabilityPolicy[profile.durability.upper()],
    )


class Feed:
    """Subscribes to the interface's section `simulator` on a node and executor of its own.

    It is spun while a step waits for its frame, from within a callback of the world's node.

    Args:
        interface: gives topics, types, quality of service and rate.
        namespace: of the world's node.
    """

    def __init__(self, interface: Interface, namespace: str) -> None:
        # The process's own --ros-args name the world's node; this is another one.
        self._node = Node("isaac_feed", namespace=namespace, use_global_arguments=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        topics = interface.simulator
        keys = {topic: topic.removeprefix("isaac/") for topic in topics}
        tolerance = round(0.25e9 / interface.rate)
        self._matcher = FrameMatcher([k for k in keys.values() if k != CLOCK], tolerance)
        for topic, endpoint in topics.items():
            callback = partial(self._on_message, keys[topic])
            profile = ros_profile(endpoint.profile)
            self._node.create_subscription(_TYPES[endpoint.type], topic, callback, profile)

    def _on_message(self, key: str, message: Any) -> None:
        stamp = message.clock if key == CLOCK else message.header.stamp
        self._matcher.add(key, nanoseconds(stamp), message)

    def expect(self) -> None:
        """Call before each tick, so that `collect` gives that tick's frame and no older one."""
        self._executor.spin_once(timeout_sec=0.0)
        self._matcher.expect()

    def collect(self, timeout: float) -> Frame:
        """The frame of the tick that has just passed.

        Raises:
            SimulatorError: it is not complete within `timeout` [s]; the message says what lacks.
        """
        deadline = time.monotonic() + timeout
        while (frame := self._matcher.take()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise SimulatorError(
                    f"Isaac Sim's tick is not complete after {timeout:g} s; it lacks "
                    f"{', '.join(self._matcher.missing())}: see docs/isaac.md, Troubleshooting"
                )
            self._executor.spin_once(timeout_sec=min(left, 0.05))
        return frame

    def close(self) -> None:
        """Destroy the node."""
        self._executor.shutdown()
        if rclpy.ok():
            self._node.destroy_node()
