# SPDX-License-Identifier: Apache-2.0
"""A short-lived node, and what it finds in the ROS graph."""

import contextlib
import importlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import rclpy
import rclpy.parameter
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from .cli import UsageError

# Without a daemon every command discovers anew. That takes 0.1 s on an idle machine and seconds on
# a busy one, so lists wait until nothing new has appeared for a while.
QUIET_SECONDS = 1.0
PATIENCE_SECONDS = 5.0


@contextlib.contextmanager
def temporary_node(name: str | None = None, *, use_sim_time: bool = False) -> Iterator[Node]:
    """Yield a node, hidden unless it is given a name."""
    # Without rclpy's signal handlers Ctrl-C is Python's KeyboardInterrupt, everywhere.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(
        name or f"_ros2cli_{os.getpid()}",
        start_parameter_services=False,
        enable_rosout=False,
        parameter_overrides=[rclpy.parameter.Parameter("use_sim_time", value=use_sim_time)],
    )
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def wait_until(found: Callable[[], Any], seconds: float) -> Any:
    """Return what `found` returns once it is true, or its last answer after the time."""
    end = time.monotonic() + seconds
    while True:
        result = found()
        if result or time.monotonic() > end:
            return result
        time.sleep(0.02)


def discover(node: Node, seconds: float | None) -> None:
    """Wait the given time, or until the graph has not changed for a while."""
    if seconds is not None:
        time.sleep(seconds)
        return
    end = time.monotonic() + PATIENCE_SECONDS
    known, since = (), time.monotonic()
    while time.monotonic() < end:
        seen = (node.get_node_names(), node.get_topic_names_and_types())
        if seen != known:
            known, since = seen, time.monotonic()
        # While this node is alone, the others may just not have answered yet.
        quiet = QUIET_SECONDS if len(seen[0]) > 1 else 2.0 * QUIET_SECONDS
        if time.monotonic() - since > quiet:
            return
        time.sleep(0.05)


def absolute(name: str) -> str:
    """Return a name with its leading slash."""
    return name if name.startswith("/") else f"/{name}"


def hidden(name: str) -> bool:
    """Return whether a part of the name starts with an underscore."""
    return any(part.startswith("_") for part in name.split("/") if part)


def load_interface(type_name: str) -> type:
    """Return the class of a message or service, e.g. of 'std_msgs/msg/String'.

    Raises:
        UsageError: the name has another form, or nothing of that name is installed.
    """
    parts = [part for part in type_name.split("/") if part]
    if len(parts) == 2:
        parts.insert(1, "msg")
    try:
        package, kind, name = parts
        return getattr(importlib.import_module(f"{package}.{kind}"), name)
    except (ValueError, ImportError, AttributeError):
        raise UsageError(f"The message type '{type_name}' is invalid or not installed") from None


def topic_type(node: Node, topic: str, seconds: float = PATIENCE_SECONDS) -> str:
    """Return the type of a topic as soon as it is known.

    Raises:
        UsageError: the topic does not appear in the given time, or it has several types.
    """

    def types() -> list[str]:
        return next((t for n, t in node.get_topic_names_and_types() if n == topic), [])

    found = wait_until(types, seconds)
    if not found:
        raise UsageError(
            f"WARNING: topic [{topic}] does not appear to be published yet\n"
            "Could not determine the type for the passed topic"
        )
    if len(found) > 1:
        raise UsageError(f"Cannot handle topic '{topic}': it has several types: {', '.join(found)}")
    return found[0]


def node_names(node: Node, *, with_hidden: bool = False) -> list[str]:
    """Return the full names of all nodes but this one."""
    own = node.get_name()
    names = [f"{ns.rstrip('/')}/{name}" for name, ns in node.get_node_names_and_namespaces()]
    return sorted(n for n in names if own not in n and (with_hidden or not hidden(n)))


def require_node(node: Node, name: str) -> str:
    """Return the full name of a node that runs.

    Raises:
        UsageError: it does not appear.
    """
    name = absolute(name)
    if not wait_until(lambda: name in node_names(node, with_hidden=True), PATIENCE_SECONDS):
        raise UsageError("Node not found")
    return name


def call(node: Node, service_type: type, service: str, request: Any) -> Any:
    """Call a service and return its response.

    Raises:
        UsageError: the service does not appear or does not answer.
    """
    client = node.create_client(service_type, service)
    if not client.wait_for_service(timeout_sec=PATIENCE_SECONDS):
        raise UsageError(f"service '{service}' is not available")
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=60.0)
    if not future.done():
        raise UsageError(f"service '{service}' did not answer within 60 s")
    return future.result()
