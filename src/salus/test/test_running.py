# SPDX-License-Identifier: Apache-2.0
"""What others see of a collection while it runs."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
import rclpy
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[3]
CELL = r"\|\s*([^|]*?)\s*"
NODES = ("world", "referee", "vla", "predictor", "supervisor", "recorder", "episode_runner")


@pytest.fixture(scope="module")
def running(begin):
    collection = begin("episodes:=1000")
    collection.read_until("episode 1/1000")
    return collection


@pytest.fixture(scope="module")
def graph(ros2, running):
    os.environ.update({k: ros2[k] for k in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")})
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


def endpoints(node):
    """Who publishes and subscribes to what, as this node knows it."""
    return {
        (topic, end.endpoint_type, end.node_name)
        for topic, _ in node.get_topic_names_and_types()
        for end in node.get_publishers_info_by_topic(topic)
        + node.get_subscriptions_info_by_topic(topic)
    }


def documented_topics():
    """Rows of the table of topics in docs/architecture.md."""
    text = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(rf"^\| `([\w/{{}},]+)` {4 * CELL}\|$", text, re.MULTILINE)
    for topic, kind, publishers, subscribers, quality in rows:
        names = re.search(r"\{(.*)\}", topic)
        for name in names[1].split(",") if names else [""]:
            yield pytest.param(
                re.sub(r"\{.*\}", name, topic),
                kind,
                set(re.findall(r"\w+", publishers)),
                set(re.findall(r"\w+", subscribers)),
                quality,
                id=re.sub(r"\{.*\}", name, topic),
            )


@pytest.mark.parametrize(
    ("topic", "kind", "publishers", "subscribers", "quality"), list(documented_topics())
)
def test_the_documented_table_of_topics_is_the_live_graph(
    graph, topic, kind, publishers, subscribers, quality
):
    name = topic if topic.startswith("/") else f"/salus/{topic}"
    offered = graph.get_publishers_info_by_topic(name)
    assert {info.node_name for info in offered} == publishers
    assert {info.topic_type for info in offered} == {kind.replace("/", "/msg/")}
    for info in offered:
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        latched = info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        assert latched == quality.startswith("latched")
    wanted = {info.node_name for info in graph.get_subscriptions_info_by_topic(name)}
    assert wanted == subscribers


def test_no_topic_is_undocumented(graph):
    documented = {parameter.values[0] for parameter in documented_topics()}
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
