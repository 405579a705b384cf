# SPDX-License-Identifier: Apache-2.0
"""What others see of a collection while it runs."""

import re
import runpy
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import rclpy
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointTypeEnum

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[3]
TOPICS = runpy.run_path(str(ROOT / "tools/docs/topics.py"))["topics"]()
WITH_TABLE = runpy.run_path(str(ROOT / "tools/sros2/policy.py"))["WITH_TABLE"]
NODES = ("world", "referee", "vla", "predictor", "supervisor", "recorder", "episode_runner")


@pytest.fixture(scope="module")
def running(begin):
    collection = begin("episodes:=1000")
    collection.read_until("episode 1/1000")
    return collection


@pytest.fixture(scope="module")
def graph(ros2, running):
    rclpy.init(args=[])
    node = rclpy.create_node("watcher")
    end, seen, since = time.monotonic() + 30, None, time.monotonic()
    while time.monotonic() < end:
        # What discovery loses comes again after 3 s: whole is what has not changed for longer.
        now = endpoints(node)
        if now != seen or set(NODES) - set(node.get_node_names()):
            seen, since = now, time.monotonic()
        if time.monotonic() - since > 4.0:
            break
        time.sleep(0.1)
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def absolute(name):
    return name if name.startswith("/") else f"/salus/{name}"


def endpoints(node):
    """Who publishes and subscribes to what, as this node knows it."""
    return {
        (topic, end.endpoint_type, f"{end.node_namespace}/{end.node_name}")
        for topic, _ in node.get_topic_names_and_types()
        for end in node.get_publishers_info_by_topic(topic)
        + node.get_subscriptions_info_by_topic(topic)
    }


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: row.name)
def test_the_documented_table_of_topics_is_the_live_graph(graph, row):
    name = absolute(row.name)
    offered = graph.get_publishers_info_by_topic(name)
    assert {info.node_name for info in offered} == row.publishers
    assert {info.topic_type for info in offered} == {row.kind.replace("/", "/msg/")}
    for info in offered:
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        latched = info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        assert latched == row.quality.startswith("latched")
    wanted = {info.node_name for info in graph.get_subscriptions_info_by_topic(name)}
    assert wanted == row.subscribers


def allowed(node):
    """What config/sros2_policy.xml allows a node: rights and absolute names."""
    policy = ElementTree.parse(ROOT / "config/sros2_policy.xml")
    (profile,) = (p for p in policy.iter("profile") if p.get("node") == node)
    return {
        (right, absolute(entry.text.replace("~", node)))
        for listed in profile
        for right in listed.keys()  # noqa: SIM118  an XML element, no mapping
        for entry in listed
    }


@pytest.mark.parametrize("node", NODES)
def test_the_policy_of_sros2_allows_each_node_what_it_does_and_no_topic_more(graph, node):
    rights = {TopicEndpointTypeEnum.PUBLISHER: "publish"}
    used = {
        (rights.get(kind, "subscribe"), topic)
        for topic, kind, name in endpoints(graph)
        if name == f"/salus/{node}"
    }
    for right, look in (
        ("reply", graph.get_service_names_and_types_by_node),
        ("request", graph.get_client_names_and_types_by_node),
    ):
        used |= {(right, service) for service, _ in look(node, "/salus")}
    known = allowed(node)
    assert used <= known
    spare = {(right, name) for right, name in known - used if right in ("publish", "subscribe")}
    # What a supervisor hears where `interventions` names a table; here it names none.
    table = {("subscribe", f"/salus/{name}") for name in WITH_TABLE.get(node, ())}
    assert spare - table <= {("subscribe", "/clock"), ("subscribe", "/parameter_events")}


def test_no_topic_is_undocumented(graph):
    documented = {row.name for row in TOPICS}
    live = {
        name.removeprefix("/salus/")
        for name, _ in graph.get_topic_names_and_types()
        if name.startswith("/salus/")
    }
    hidden = {name for name in live if name.endswith("transition_event")}
    assert live - hidden <= documented


def test_a_second_terminal_sees_the_latched_status_at_once(ros2, running, tmp_path):
    echo = subprocess.run(
        ["ros2", "topic", "echo", "/salus/episode", "--once"],
        env=ros2,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert re.search(r"^episode: \d+$", echo.stdout, re.M)
    assert re.search(r"^instruction: \S+", echo.stdout, re.M)
