# SPDX-License-Identifier: Apache-2.0
"""A second publisher of a topic that must have one is named."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Empty

from salus_ros import publishers
from salus_ros.diagnostics import Diagnostics, DiagnosticsParameters
from salus_ros.parameters import declare

pytestmark = pytest.mark.ros


@pytest.fixture
def reader(ros, executor):
    node = Node("reader", namespace="cell")
    node.create_subscription(Empty, "command", lambda message: None, 1)
    node.create_subscription(Empty, "joint_states", lambda message: None, 1)
    report = Diagnostics(node, declare(node, DiagnosticsParameters))
    executor.add_node(node)
    return report


def publish(executor, name, topic="command", kind=Empty):
    node = Node(name, namespace="cell")
    node.create_publisher(kind, topic, 1)
    executor.add_node(node)
    return node


def test_a_stranger_that_publishes_commands_is_named_and_its_end_is_noticed(
    reader, executor, spin_until, capfd
):
    publish(executor, "supervisor")
    publish(executor, "one", "joint_states")  # of these there may be several
    publish(executor, "two", "joint_states")
    stranger = publish(executor, "stranger")
    spin_until(lambda: reader.status().level == DiagnosticStatus.ERROR)
    said = "/cell/command: /cell/stranger, /cell/supervisor: stop all but one"
    assert said in reader.status().message
    assert said in capfd.readouterr().err
    executor.remove_node(stranger)
    stranger.destroy_node()
    spin_until(lambda: reader.status().level == DiagnosticStatus.OK)


def test_two_of_one_name_warn_at_once_and_are_an_error_if_they_stay(
    reader, executor, spin_until, monkeypatch
):
    publish(executor, "supervisor")
    publish(executor, "supervisor")
    spin_until(lambda: reader.status().level == DiagnosticStatus.WARN)
    assert "a process that was killed within the last 20 s" in reader.status().message
    monkeypatch.setattr(publishers, "LEASE", 0.0)
    spin_until(lambda: reader.status().level == DiagnosticStatus.ERROR)


def test_a_second_publisher_of_a_camera_is_named_whatever_the_topic_is_called(
    reader, executor, spin_until
):
    reader._node.create_subscription(Image, "wrist", lambda message: None, 1)
    publish(executor, "driver", "wrist", Image)
    publish(executor, "replay", "wrist", Image)
    spin_until(lambda: reader.status().level == DiagnosticStatus.ERROR)
    assert "/cell/wrist: /cell/driver, /cell/replay: stop" in reader.status().message


def test_a_publisher_is_named_when_its_node_is_known_or_stays_unknown(ros, monkeypatch):
    node = Node("reader", namespace="cell")
    node.create_publisher(Empty, "command", 1)
    (known,) = node.get_publishers_info_by_topic("/cell/command")
    fields = {name.lstrip("_"): getattr(known, name) for name in known.__slots__}
    foreign = type(known)(**{**fields, "node_name": publishers.UNKNOWN})
    monkeypatch.setattr(node, "get_publishers_info_by_topic", lambda topic: [known, foreign])
    told = []
    watch = publishers.PublisherWatch(node, lambda *one: told.append(one))
    watch._look()
    assert told == []
    watch._look()
    ((sentence, level),) = told
    assert "/cell/command: /cell/reader, a program that is no ROS node: stop" in sentence
    assert level == DiagnosticStatus.ERROR
