# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest
from rclpy.context import Context
from rclpy.node import Node
from salus_msgs.msg import ActionCommand, VlaSignals
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from salus_ros.diagnostics import ERROR, OK
from salus_ros.graph import GraphWatch, reachable_by
from salus_ros.managed_node import ManagedNode

pytestmark = pytest.mark.ros

NUMBERS = itertools.count()
REMEDY = "stop one, or give each graph its own ROS_DOMAIN_ID or namespace"


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({}, "ROS_AUTOMATIC_DISCOVERY_RANGE is SUBNET"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, "ROS_AUTOMATIC_DISCOVERY_RANGE is SUBNET"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "system_default"}, "is SYSTEM_DEFAULT"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, ""),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF", "ROS_STATIC_PEERS": "10.0.0.2"}, ""),
        (
            {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": "10.0.0.2;"},
            "ROS_STATIC_PEERS is '10.0.0.2'",
        ),
        ({"ROS_LOCALHOST_ONLY": "1"}, ""),
        ({"ROS_LOCALHOST_ONLY": "0"}, "ROS_AUTOMATIC_DISCOVERY_RANGE is SUBNET"),
        ({"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}, ""),
        ({"ROS_SECURITY_ENABLE": "true"}, "ROS_AUTOMATIC_DISCOVERY_RANGE is SUBNET"),
    ],
)
def test_whether_other_machines_can_take_part_is_read_from_the_environment(environment, why):
    found = reachable_by(environment)
    assert found.endswith(why)
    assert bool(found) == bool(why)


@pytest.fixture
def stranger(ros):
    """Makes nodes of another process, as far as DDS can tell: each has its own participant."""
    made = []

    def make(name, **kwargs):
        context = Context()
        context.init(args=[])
        made.append((context, Node(name, context=context, **kwargs)))
        return made[-1][1]

    yield make
    for context, node in made:
        node.destroy_node()
        context.try_shutdown()


class Commander(ManagedNode):
    """Publishes commands and states, and follows signals, as several nodes of SALUS do."""

    def __init__(self, name):
        super().__init__(name)

    def configure(self):
        self.create_lifecycle_publisher(ActionCommand, "command", 10)
        self.create_subscription(VlaSignals, "vla_signals", lambda message: None, 10)
        self.create_subscription(JointState, "joint_states", lambda message: None, 10)


@pytest.fixture
def commander(executor):
    # A name of its own: DDS may still know the node of the test before.
    node = Commander(f"commander{next(NUMBERS)}")
    assert node.start()
    executor.add_node(node)
    yield node
    node.close()
    node.destroy_node()


def test_a_second_publisher_of_ones_own_topic_is_an_error_until_it_goes(
    commander, stranger, spin_until
):
    spin_until(lambda: commander.diagnostics.status().level == OK)
    other = stranger("stranger")
    publisher = other.create_publisher(ActionCommand, "command", 10)
    spin_until(lambda: commander.diagnostics.status().level == ERROR)
    assert commander.diagnostics.status().message == (
        f"/command (supervisor) must have one publisher, not /{commander.get_name()} and "
        f"/stranger: {REMEDY}"
    )
    other.destroy_publisher(publisher)
    spin_until(lambda: commander.diagnostics.status().level == OK)


def test_two_publishers_of_what_one_follows_are_named_whatever_the_topic_is_called(
    executor, stranger, spin_until
):
    node = ManagedNode("follower", namespace="arm", cli_args=["--ros-args", "-r", "signals:=said"])
    told = []
    node.create_subscription(VlaSignals, "signals", told.append, 10)
    executor.add_node(node)
    stranger("vla").create_publisher(VlaSignals, "/arm/said", 10)
    publisher = stranger("vla").create_publisher(VlaSignals, "/arm/said", 10)
    spin_until(lambda: node.diagnostics.status().level == ERROR)
    assert publisher.topic_name == "/arm/said"
    assert node.diagnostics.status().message == (
        "/arm/said (vla) must have one publisher, not /vla (2 times) "
        f"(one that was killed is listed for 20 s): {REMEDY}"
    )


def test_a_second_node_of_ones_name_is_named_also_without_a_topic_in_common(
    commander, stranger, spin_until
):
    name = commander.get_name()
    stranger(name)
    spin_until(lambda: commander.diagnostics.status().level == ERROR)
    assert commander.diagnostics.status().message.startswith(f"2 nodes are named /{name} (one")


def test_topics_that_many_may_publish_and_other_namespaces_are_no_problem(
    commander, stranger, spin_until
):
    other = stranger("stranger")
    for name in ("arm", "gripper"):
        stranger(name).create_publisher(JointState, "joint_states", 10)
    other.create_publisher(ActionCommand, "/robot2/command", 10)
    # When the last one is known, the others have long been.
    other.create_publisher(String, "last", 10)
    spin_until(lambda: commander.count_publishers("last") == 1)
    spin_until(lambda: commander.count_publishers("joint_states") == 2)
    told = []
    GraphWatch(commander, told.append).look()
    assert told == []


def test_each_change_is_told_once(commander, stranger, spin_until):
    told = []
    GraphWatch(commander, told.append)
    stranger("stranger").create_publisher(ActionCommand, "command", 10)
    spin_until(lambda: told)
    stranger("third").create_publisher(ActionCommand, "command", 10)
    spin_until(lambda: "third" in told[-1])
    assert [problem.partition(":")[0].partition("not ")[2] for problem in told] == [
        f"/{commander.get_name()} and /stranger",
        f"/{commander.get_name()} and /stranger and /third",
    ]


def test_a_publisher_whose_node_stays_unknown_is_told_of_as_well(commander, monkeypatch):
    """As of a program that speaks DDS without ROS; of a node, the name follows at once."""
    (info,) = commander.get_publishers_info_by_topic("command")
    foreign = type(info)(**{**vars_of(info), "node_name": "_NODE_NAME_UNKNOWN_"})
    monkeypatch.setattr(commander, "count_publishers", lambda topic: 2 * (topic == "/command"))
    monkeypatch.setattr(commander, "get_publishers_info_by_topic", lambda topic: [info, foreign])
    told = []
    watch = GraphWatch(commander, told.append)
    watch.look()
    assert told == []
    watch.look()
    assert "and a program that is no ROS node" in told[0]


def vars_of(info):
    return {name.lstrip("_"): getattr(info, name) for name in info.__slots__}
