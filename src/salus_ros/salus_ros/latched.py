# SPDX-License-Identifier: Apache-2.0
"""Latched messages that a node needs before it can go on."""

import time
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from salus_ros.qos import LATCHED


def wait_for_latched(node: Node, kind: type, topic: str, seconds: float) -> Any | None:
    """A topic's latched message, if it comes in time.

    Args:
        node: that waits; may be in a transition.
        kind: type of the message.
        topic: as the node would subscribe to it.
        seconds: to wait at most; 0: do not look at all.

    Returns:
        The message, or None.
    """
    if seconds == 0.0:
        return None
    found: list[Any] = []
    # In a node and executor of its own: the node's executor is in the transition. A renaming of the
    # node on the command line is not for it: two of one name lose their endpoints.
    helper = rclpy.create_node(
        f"{node.get_name()}_configuring",
        namespace=node.get_namespace(),
        context=node.context,
        use_global_arguments=False,
    )
    executor = SingleThreadedExecutor(context=node.context)
    try:
        helper.create_subscription(kind, node.resolve_topic_name(topic), found.append, LATCHED)
        executor.add_node(helper)
        end = time.monotonic() + seconds
        while not found and time.monotonic() < end and node.context.ok():
            executor.spin_once(timeout_sec=0.05)
    finally:
        executor.shutdown()
        helper.destroy_node()
    return found[0] if found else None
