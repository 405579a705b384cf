# SPDX-License-Identifier: Apache-2.0
"""Extremes of every field of every message, sent to every node of a collection as it runs."""

import importlib
import re
import runpy
import threading
import time
from pathlib import Path

import pytest
import rclpy
from breaking import alive
from extremes import extremes
from rcl_interfaces.srv import ListParameters
from rclpy.executors import SingleThreadedExecutor

from salus_ros import qos

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[3]
TOPICS = [
    row
    for row in runpy.run_path(str(ROOT / "tools/docs/topics.py"))["topics"]()
    if row.subscribers and row.name != "/clock"
]
NODES = ("world", "referee", "vla", "predictor", "supervisor", "recorder", "episode_runner")
MOST_GROWTH = 200e6
"""Memory that a node may take for all that nonsense [bytes]."""


@pytest.fixture(scope="module")
def running(begin):
    collection = begin("episodes:=100000")
    collection.read_until("episode 1/100000")
    # A pipe that nobody reads would hang the nodes that write to it.
    reader = threading.Thread(target=lambda: collection.lines.extend(collection.process.stdout))
    reader.start()
    yield collection
    reader.join()


@pytest.fixture(scope="module")
def stranger(running):
    """A node in the collection's graph, and a message of each topic as it really is."""
    rclpy.init(args=[])
    node = rclpy.create_node("stranger", namespace="salus")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    seen = {}
    for row in TOPICS:
        profile = qos.LATCHED if row.quality.startswith("latched") else qos.RELIABLE
        node.create_subscription(
            get_message(row.kind),
            row.name,
            lambda m, name=row.name: seen.setdefault(name, m),
            profile,
        )
    # Nobody holds the robot in an undisturbed collection: no message of that kind is seen.
    wanted = {row.name for row in TOPICS} - {"intervention", "failure_event", "recorder_status"}
    end = time.monotonic() + 60.0
    while wanted - seen.keys() and time.monotonic() < end:
        executor.spin_once(0.1)
    assert wanted <= seen.keys()
    yield node, executor, seen
    node.destroy_node()
    rclpy.try_shutdown()


def get_message(kind):
    package, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def memory(pid):
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * 4096


def answering(node, executor):
    """The nodes that list their parameters within 20 s."""
    clients = {n: node.create_client(ListParameters, f"{n}/list_parameters") for n in NODES}
    assert all(client.wait_for_service(20.0) for client in clients.values())
    asked = {name: client.call_async(ListParameters.Request()) for name, client in clients.items()}
    end = time.monotonic() + 20.0
    while not all(answer.done() for answer in asked.values()) and time.monotonic() < end:
        executor.spin_once(0.1)
    return {name for name, answer in asked.items() if answer.done()}


def test_no_field_of_any_message_ends_hangs_or_bloats_a_node(running, stranger):
    node, executor, seen = stranger
    pids = running.pids()
    before = {name: memory(pid) for name, pid in pids.items()}
    sent = 0
    for row in TOPICS:
        kind = get_message(row.kind)
        profile = qos.LATCHED if row.quality.startswith("latched") else qos.RELIABLE
        publisher = node.create_publisher(kind, row.name, profile)
        for message in extremes(seen.get(row.name, kind())):
            publisher.publish(message)
            sent += 1
            executor.spin_once(0.0)
        time.sleep(0.2)
        node.destroy_publisher(publisher)
    assert sent > 1500
    said = "".join(running.lines)
    assert all(alive(pid) for pid in pids.values()), said[-6000:]
    assert answering(node, executor) == set(NODES), said[-6000:]
    grown = {name: memory(pid) - before[name] for name, pid in pids.items()}
    assert max(grown.values()) < MOST_GROWTH, grown
    running.stop()
    running.process.wait(60)
    output = "".join(running.lines)
    assert "Traceback" not in output, output[-4000:]
    assert not re.search(r"exit code -\d", output)
