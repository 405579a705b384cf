# SPDX-License-Identifier: Apache-2.0
"""Notices that a topic which must have one publisher has several."""

import time
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo

from salus_ros.levels import ERROR, WARN

ONE_PUBLISHER = (
    *("step", "world_state", "episode_setup", "episode", "failure_event", "tool_pose"),
    *("vla_signals", "signal_info", "failure_forecast", "forecast_info"),
    *("command", "intervention", "recorder_status"),
)
"""Topics that one node publishes: a second one would be obeyed, or recorded, like the first."""

ONE_PUBLISHER_TYPES = ("Image", "CameraInfo", "Clock")
"""Types of messages whose topics, however they are called, have one publisher as well."""

UNKNOWN = "_NODE_NAME_UNKNOWN_"
"""What ROS calls the node of a publisher before it has heard of it, or if there is none."""

PERIOD = 0.4
"""Time between two looks at the graph [s]."""

LEASE = 30.0
"""A process that was killed is seen in the graph for up to 20 s; two of one name that are there for
longer than this are two processes [s]."""


class PublisherWatch:
    """Looks at those topics that a node publishes or subscribes.

    Args:
        node: that looks.
        tell: called with a sentence and its level when something changes; empty: all is well.
    """

    def __init__(self, node: Node, tell: Callable[[str, bytes], None]):
        self._node = node
        self._tell = tell
        self._told: tuple[str, bytes] = ("", WARN)
        self._twice_since: float | None = None
        self._unnamed: set[str] = set()
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD, self._look, clock=clock)

    def _look(self) -> None:
        node = self._node
        several: dict[str, list[str]] = {}
        unnamed: set[str] = set()
        for topic in self._topics():
            infos = node.get_publishers_info_by_topic(topic)
            if any(info.node_name == UNKNOWN for info in infos):
                unnamed.add(topic)
                if topic not in self._unnamed:
                    continue  # of a node the name comes a little later
            if len(infos) > 1:
                several[topic] = sorted(map(_name, infos))
        self._unnamed = unnamed
        others = any(len(set(names)) > 1 for names in several.values())
        now = time.monotonic()
        if several and not others:
            self._twice_since = self._twice_since or now
        else:
            self._twice_since = None
        lasts = self._twice_since is not None and now - self._twice_since > LEASE
        level = ERROR if others or lasts else WARN
        told = (self._sentence(several, others), level)
        if told != self._told:
            self._told = told
            self._tell(*told)

    def _topics(self) -> list[str]:
        ends: list[Any] = [*self._node.publishers, *self._node.subscriptions]
        known = set(map(self._node.resolve_topic_name, ONE_PUBLISHER))
        return sorted(
            {
                end.topic_name
                for end in ends
                if end.topic_name in known or end.msg_type.__name__ in ONE_PUBLISHER_TYPES
            }
        )

    def _sentence(self, several: dict[str, list[str]], others: bool) -> str:
        if not several:
            return ""
        listed = "; ".join(f"{topic}: {', '.join(names)}" for topic, names in several.items())
        what = "several publishers of what must have one"
        if not others:
            what += " (a second graph, or a process that was killed within the last 20 s)"
        return (
            f"{what}: {listed}: stop all but one, or give the other graph a namespace or "
            "ROS_DOMAIN_ID of its own"
        )


def _name(info: TopicEndpointInfo) -> str:
    if info.node_name == UNKNOWN:
        return "a program that is no ROS node"
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
