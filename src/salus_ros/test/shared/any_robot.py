# SPDX-License-Identifier: Apache-2.0
"""A robot of any number of joints, in real time: standard messages, and its own count of steps."""

import threading
import time

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from salus_msgs.msg import (
    ActionCommand,
    EpisodeStatus,
    FailureForecast,
    Intervention,
    RecorderStatus,
    SignalInfo,
    Step,
    VlaSignals,
)
from sensor_msgs.msg import Image, JointState

from salus_ros import qos

HEIGHT, WIDTH = 24, 32


class AnyRobot:
    """Moves its joints to the targets of the commands, one control period after the other.

    Args:
        context: of rclpy.
        joints: names, in the order of the actions.
        period: of control [s].
    """

    def __init__(self, context, joints, period):
        self.joints, self.period = list(joints), period
        self.where = np.linspace(-0.3, 0.3, len(joints))
        self.node = rclpy.create_node("robot", namespace="robot", context=context)
        publish, listen = self.node.create_publisher, self.node.create_subscription
        self._step = publish(Step, "step", qos.RELIABLE)
        self._image = publish(Image, "camera/top/image_raw", qos_profile_sensor_data)
        self._joints = publish(JointState, "joint_states", qos_profile_sensor_data)
        self._status = publish(EpisodeStatus, "episode", qos.LATCHED)
        self.heard = {}
        for topic, kind, profile in (
            ("vla_signals", VlaSignals, qos.RELIABLE),
            ("signal_info", SignalInfo, qos.LATCHED),
            ("command", ActionCommand, qos.RELIABLE),
            ("intervention", Intervention, qos.RELIABLE),
            ("failure_forecast", FailureForecast, qos.RELIABLE),
            ("recorder_status", RecorderStatus, qos.LATCHED),
        ):
            self.heard[topic] = heard = []
            listen(kind, topic, heard.append, profile)
        self.said = {}
        """By (episode, step): the positions that joint_states told."""
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def until(self, condition, seconds=60.0, check=lambda: None):
        end = time.monotonic() + seconds
        while not condition():
            check()
            counts = {topic: len(heard) for topic, heard in self.heard.items()}
            assert time.monotonic() < end, f"not within {seconds} s; heard {counts}"
            time.sleep(0.01)

    def connected(self, listeners):
        """Whether `listeners` nodes hear steps, and those who answer are there."""
        inputs = (self._step, self._image, self._joints, self._status)
        return (
            self._step.get_subscription_count() >= listeners
            and all(publisher.get_subscription_count() for publisher in inputs)
            and self.node.count_publishers("command")
            and self.node.count_publishers("vla_signals")
            and self.heard["signal_info"]
        )

    def second_policy(self, listeners):
        """A publisher of signals that `listeners` nodes hear."""
        publisher = self.node.create_publisher(VlaSignals, "vla_signals", qos.RELIABLE)
        self.until(lambda: publisher.get_subscription_count() >= listeners)
        return publisher

    def status(self, episode, state=EpisodeStatus.STATE_RUNNING, step=0):
        status = EpisodeStatus(
            episode=episode, state=state, step=step, seed=70 + episode, instruction="fold it"
        )
        if state == EpisodeStatus.STATE_FAILED:
            status.failure = EpisodeStatus.FAILURE_COLLISION
            status.onset_step = step
        self._status.publish(status)

    def observe(self, episode, step, stamp):
        """Tells one observation."""
        self.said[episode, step] = self.where.copy()
        self.tell_joints(stamp, step)
        image = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
        image.header.stamp = stamp
        image.data = bytes([(7 * step + episode) % 256]) * (3 * WIDTH * HEIGHT)
        self._image.publish(image)
        message = Step(episode=episode, step=step)
        message.header.stamp = stamp
        self._step.publish(message)

    def tell_joints(self, stamp, seed=0):
        """Joints in an order that nobody knows, and one more that nobody asked for."""
        order = np.random.default_rng(seed).permutation(len(self.joints))
        joints = JointState(
            name=["neck", *(self.joints[i] for i in order)],
            position=[1.0, *self.where[order].tolist()],
        )
        joints.header.stamp = stamp
        self._joints.publish(joints)

    def warm_up(self, episode=0, topic="command"):
        """An episode that is aborted once `topic` answers it: then those who answer are connected.

        Nobody can see from here that the supervisor, or the predictor, has found the policy.
        """
        self.status(episode)
        for step in range(100):
            self.observe(episode, step, Time(sec=1 + 100 * episode, nanosec=10_000_000 * step))
            end = time.monotonic() + 0.3
            while time.monotonic() < end and self.step_of(topic) != (episode, step):
                time.sleep(0.01)
            if self.step_of(topic) == (episode, step):
                break
        else:
            raise AssertionError(f"nothing came on {topic}")
        self.status(episode, EpisodeStatus.STATE_ABORTED, step)

    def run_episode(self, episode, length, state=EpisodeStatus.STATE_SUCCEEDED):
        """Plays an episode; the command of a step moves the joints.

        A step takes one control period, and longer where a busy machine lets its command wait.
        """
        self.status(episode)
        start = time.monotonic()
        for step in range(length + 1):
            nanoseconds = round((1 + 100 * episode + step * self.period) * 1e9)
            self.observe(episode, step, Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9))
            time.sleep(max(0.0, start + (step + 1) * self.period - time.monotonic()))
            self.until(lambda step=step: self.step_of("command") == (episode, step), 20)
            self.where = np.array(self.heard["command"][-1].action)
        self.status(episode, state, length)

    def step_of(self, topic):
        heard = self.heard[topic]
        return (heard[-1].episode, heard[-1].step) if heard else None

    def close(self):
        self._executor.shutdown()
        self._thread.join(5)
        self.node.destroy_node()
