# SPDX-License-Identifier: Apache-2.0
"""The other side of the VLA node's topics: sends observations, keeps what comes back."""

from collections import Counter

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from salus_msgs.msg import ActionCommand, EpisodeStatus, SignalInfo, Step, VlaSignals
from sensor_msgs.msg import Image, JointState

from salus_ros import qos
from salus_ros.images import to_message

ARM = [f"panda_joint{i}" for i in range(1, 8)]
FINGERS = ["panda_finger_joint1", "panda_finger_joint2"]
REST = [0.0, -0.3, 0.0, -2.2, 0.0, 1.9, 0.785]


def count_taken(node):
    """Messages that a node's callbacks have been called with from now on, by topic."""
    taken = Counter()

    def counted(topic, callback):
        def take(message):
            callback(message)
            taken[topic] += 1

        return take

    for subscription in node.subscriptions:
        subscription.callback = counted(subscription.topic_name, subscription.callback)
    return taken


def errors_of(node, monkeypatch):
    """Error messages of a node, as logged from now on."""
    messages = []
    logger = node.get_logger()
    monkeypatch.setattr(logger, "error", lambda text, **_: messages.append(text))
    monkeypatch.setattr(node, "get_logger", lambda: logger)
    return messages


class Robot(Node):
    def __init__(self):
        super().__init__("robot")
        publish = self.create_publisher
        self.step_publisher = publish(Step, "step", qos.RELIABLE)
        self.image_publisher = publish(Image, "camera/front/image_raw", qos.image())
        self.wrist_publisher = publish(Image, "camera/wrist/image_raw", qos.image())
        self.joint_publisher = publish(JointState, "joint_states", qos.RELIABLE)
        self.pose_publisher = publish(PoseStamped, "tool_pose", qos.RELIABLE)
        self.episode_publisher = publish(EpisodeStatus, "episode", qos.LATCHED)
        self.command_publisher = publish(ActionCommand, "command", qos.RELIABLE)
        self.signals = []
        self.infos = []
        self.create_subscription(VlaSignals, "vla_signals", self.signals.append, qos.RELIABLE)
        self.create_subscription(SignalInfo, "signal_info", self.infos.append, qos.LATCHED)

    def is_connected(self):
        """Every topic that an observation needs has found its subscriber."""
        publishers = (
            self.step_publisher,
            self.image_publisher,
            self.joint_publisher,
            self.pose_publisher,
            self.episode_publisher,
            self.command_publisher,
        )
        return all(p.get_subscription_count() for p in publishers) and self.count_publishers(
            "vla_signals"
        )

    @staticmethod
    def stamp(step, episode=1):
        return Time(sec=100 * episode + step // 30, nanosec=step % 30 * 33_333_333)

    def episode(self, episode=1, state=EpisodeStatus.STATE_RUNNING, step=0):
        message = EpisodeStatus(episode=episode, state=state, step=step, instruction="pick it")
        self.episode_publisher.publish(message)

    def observe(self, step, episode=1, *, image=None, **body):
        """Sends everything of one step, the Step message last."""
        stamp = self.stamp(step, episode)
        self.send_image(
            stamp, np.full((32, 32, 3), 10 * step, np.uint8) if image is None else image
        )
        self.send_body(stamp, **body)
        numbered = Step(episode=episode, step=step)
        numbered.header.stamp = stamp
        numbered.header.frame_id = "panda_link0"
        self.step_publisher.publish(numbered)

    def send_image(self, stamp, image):
        if isinstance(image, np.ndarray):
            image = to_message(image, stamp, "front")
        image.header.stamp = stamp
        self.image_publisher.publish(image)

    def send_body(self, stamp, names=None, positions=None, tool=(0.5, 0.0, 0.3)):
        joints = JointState(name=names or ARM + FINGERS, position=positions or [*REST, 0.04, 0.04])
        joints.header.stamp = stamp
        self.joint_publisher.publish(joints)
        pose = PoseStamped()
        pose.header.stamp = stamp
        pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = tool
        self.pose_publisher.publish(pose)

    def command(self, step, action, episode=1):
        message = ActionCommand(episode=episode, step=step, action=np.array(action, float))
        message.header.stamp = self.stamp(step, episode)
        self.command_publisher.publish(message)
