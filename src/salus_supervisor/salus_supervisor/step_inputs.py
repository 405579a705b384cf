# SPDX-License-Identifier: Apache-2.0
"""What manoeuvres see of a step beside the proposal: tool, gripper, and where things are."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from salus_msgs.msg import SceneEstimate, VlaSignals
from sensor_msgs.msg import JointState

from salus_core.messages import (
    JOINT_STATES,
    SCENE_ESTIMATE,
    TOOL_POSE,
    Input,
    JointInput,
    Matched,
    PoseInput,
    SceneInput,
    Synchroniser,
    pose_values,
    read_scene,
)
from salus_core.runtime import Observation
from salus_core.runtime import SceneEstimate as Scene
from salus_ros import qos

KEPT = 8
"""Steps whose messages are kept."""


class StepInputs:
    """Matches the messages of each step with its signals.

    Args:
        node: that subscribes.
        gripper_joints: whose positions add up to the distance of the finger pads; none: not known.
        tolerance: largest difference of stamps [s].
        reliability: of joint_states and tool_pose.
        say: called with a sentence when stamps went back.
    """

    def __init__(
        self,
        node: Node,
        gripper_joints: Sequence[str],
        tolerance: float,
        reliability: str,
        say: Callable[[str], None],
    ):
        self._node, self._joints = node, tuple(gripper_joints)
        inputs: list[Input] = [PoseInput(), SceneInput()]
        if self._joints:
            inputs.append(JointInput(self._joints))
        self._sync = Synchroniser(inputs, self._on_matched, tolerance, on_restart=say)
        self._found: deque[Matched] = deque(maxlen=KEPT)
        profile = qos.body(reliability)
        topics = [(TOOL_POSE, PoseStamped, profile), (SCENE_ESTIMATE, SceneEstimate, qos.RELIABLE)]
        if self._joints:
            topics.append((JOINT_STATES, JointState, profile))
        self._subscriptions = [
            node.create_subscription(kind, topic, partial(self._add, topic), quality)
            for topic, kind, quality in topics
        ]

    def _add(self, topic: str, message: PoseStamped | SceneEstimate | JointState) -> None:
        self._sync.add(topic, message, time.monotonic())

    def _on_matched(self, matched: Matched) -> None:
        self._found.append(matched)

    def clear(self) -> None:
        """Begin anew."""
        self._sync.clear()
        self._found.clear()

    def follow(self, signals: VlaSignals, episode: int, wait: float) -> None:
        """Begin to look for the messages of a step.

        Args:
            signals: of the step.
            episode: that it belongs to: another one than before if whoever counts began anew.
            wait: for late ones at most [s].
        """
        self._sync.wait = wait
        # Only what somebody sends is waited for.
        for name in (TOOL_POSE, SCENE_ESTIMATE, *([JOINT_STATES] if self._joints else [])):
            self._sync.require(name, self.sent(name))
        # Without a key: a world that was started anew counts the same numbers again.
        self._sync.add_anchor(signals, time.monotonic(), None, episode)

    def sent(self, topic: str) -> bool:
        """Whether anybody publishes a topic."""
        return self._node.count_publishers(topic) > 0

    def of(self, signals: VlaSignals) -> tuple[Observation, Scene | None, str] | None:
        """What belongs to a step.

        Returns:
            The observation, the scene, and why something that is sent cannot be used, or did not
            come; empty: nothing is wrong. None: the step's messages are still waited for.
        """
        self._sync.tick(time.monotonic())
        matched = next((one for one in self._found if one.anchor is signals), None)
        if matched is None:
            return None
        position = quaternion = width = None
        if TOOL_POSE in matched.values:
            pose = pose_values(matched.values[TOOL_POSE].pose)
            position, quaternion = pose[:3], pose[3:]
        if JOINT_STATES in matched.values:
            width = float(matched.values[JOINT_STATES].positions(self._joints).sum())
        scene = None
        if SCENE_ESTIMATE in matched.values:
            scene = read_scene(matched.values[SCENE_ESTIMATE])
        observation = Observation(
            images={},
            joint_positions=None,
            joint_velocities=None,
            tool_position=position,
            tool_quaternion=quaternion,
            gripper_width=width if width is None or np.isfinite(width) else None,
            instruction="",
            step=signals.step,
            stamp=matched.stamp,
        )
        problem = "; ".join(f"{name}: {why}" for name, why in matched.missing.items())
        return observation, scene, problem
