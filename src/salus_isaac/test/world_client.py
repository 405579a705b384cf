# SPDX-License-Identifier: Apache-2.0
"""A client that plays everything but the world: resets it, hears it, commands it."""

import importlib
import time

from oversized import any_action
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from salus_msgs.msg import ActionCommand
from salus_msgs.srv import ResetEpisode

from salus_isaac.feed import ros_profile
from salus_ros import qos

STAY = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def message_class(name):
    """The class of 'package/msg/Name' or 'package/srv/Name'."""
    package, kind, short = name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), short)


class Client:
    """Hears every topic that the interface says the world publishes."""

    def __init__(self, world, interface):
        self.world, self.interface = world, interface
        self.node = Node("client", namespace=world.get_namespace())
        self.got = {topic: [] for topic in interface.publishers}
        for topic, endpoint in interface.publishers.items():
            kind, profile = message_class(endpoint.type), ros_profile(endpoint.profile)
            self.node.create_subscription(kind, topic, self.got[topic].append, profile)
        self.commands = self.node.create_publisher(ActionCommand, "command", qos.RELIABLE)
        self.service = self.node.create_client(ResetEpisode, "reset_episode")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(world)
        self.executor.add_node(self.node)
        self.until(self.service.service_is_ready)
        self.until(lambda: self.commands.get_subscription_count() == 1)
        self.until(lambda: all(self.node.count_publishers(topic) for topic in self.got))

    def until(self, condition, seconds=30.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            self.executor.spin_once(timeout_sec=0.02)

    def settle(self, seconds=0.3):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def reset(self, **request):
        future = self.service.call_async(ResetEpisode.Request(**request))
        self.until(future.done)
        return future.result()

    def command(self, step, action=STAY, episode=1):
        self.commands.publish(any_action(ActionCommand(episode=episode, step=step), action))

    def steps(self):
        return [(step.episode, step.step) for step in self.got["step"]]

    def complete(self, count):
        """Wait for `count` messages on every topic but the latched one of the episode."""
        self.until(
            lambda: all(len(v) >= count for t, v in self.got.items() if t != "episode_setup")
        )

    def close(self):
        self.executor.shutdown()
