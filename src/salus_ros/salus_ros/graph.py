# SPDX-License-Identifier: Apache-2.0
"""Who else is in the graph: second publishers, second nodes of a name, and the network.

DDS delivers what any participant publishes, without a word: a second publisher of `command` moves
the robot, and two graphs in one namespace mix their episodes.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

PERIOD = 0.4
"""Time between two looks at the graph [s]."""

ONE_PUBLISHER = {
    "ActionCommand": "supervisor",
    "Intervention": "supervisor",
    "VlaSignals": "vla",
    "SignalInfo": "vla",
    "FailureForecast": "predictor",
    "ForecastInfo": "predictor",
    "EpisodeStatus": "referee",
    "FailureEvent": "referee",
    "EpisodeSetup": "world",
    "Step": "world",
    "WorldState": "world",
    "RecorderStatus": "recorder",
    "Image": "",
    "CameraInfo": "",
    "PoseStamped": "",
    "Clock": "",
}
"""Types of messages whose topics must have exactly one publisher, and which node of SALUS it is.

By type, as topics get remapped; empty: the world, a simulator or a robot's driver. Joint states are
not among them: an arm and its gripper may tell theirs separately.
"""

SHARED = ("/diagnostics", "/parameter_events", "/rosout", "/tf", "/tf_static")
"""Topics that many nodes publish."""

KILLED = 20.0
"""A killed process stays in the graph for this time [s]: the lease that Fast DDS gives by
default."""

UNKNOWN = "_NODE_NAME_UNKNOWN_"
"""What ROS calls the node of a DDS participant that does not tell of any."""

UNNAMED = "a program that is no ROS node"


def reachable_by(environment: Mapping[str, str] = os.environ) -> str:
    """Why other machines can take part in this graph, in words; empty: they cannot."""
    if (
        environment.get("ROS_SECURITY_ENABLE") == "true"
        and environment.get("ROS_SECURITY_STRATEGY") == "Enforce"
    ):
        return ""  # whoever has no key is refused
    if environment.get("ROS_LOCALHOST_ONLY") == "1":  # of older distributions; it comes first
        return ""
    wide = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() or "SUBNET"
    if wide == "OFF":
        return ""
    if wide != "LOCALHOST":
        return f"ROS_AUTOMATIC_DISCOVERY_RANGE is {wide}"
    peers = environment.get("ROS_STATIC_PEERS", "").strip("; ")
    return f"ROS_STATIC_PEERS is {peers!r}" if peers else ""


class GraphWatch:
    """Tells of second publishers of a topic, and of a second node of this node's name.

    Looked at are the topics that this node publishes, but for SHARED ones, and those it subscribes
    to with a type in ONE_PUBLISHER.

    Args:
        node: whose topics are watched.
        tell: takes what is wrong each time it changes; empty: nothing is, any more.
    """

    def __init__(self, node: Node, tell: Callable[[str], None]):
        self._node = node
        self._tell = tell
        self._told = ""
        self._unnamed: set[str] = set()  # topics with a publisher of no known node
        # The wall clock: a second world may have stopped the simulation's.
        node.create_timer(PERIOD, self.look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def look(self) -> None:
        """Look at the graph once."""
        problem = self._problem()
        if problem != self._told:
            self._told = problem
            if problem:
                self._node.get_logger().error(problem)
            else:
                self._node.get_logger().info("the graph has one publisher of each topic again")
            self._tell(problem)

    def _topics(self) -> dict[str, str]:
        """Watched topics, and which node should publish each."""
        published = {
            publisher.topic_name: publisher.msg_type for publisher in self._node.publishers
        }
        watched = {
            subscription.topic_name: subscription.msg_type
            for subscription in self._node.subscriptions
            if subscription.msg_type.__name__ in ONE_PUBLISHER
        }
        topics = {**watched, **published}
        return {
            topic: ONE_PUBLISHER.get(kind.__name__, "")
            for topic, kind in sorted(topics.items())
            if topic not in SHARED
        }

    def _problem(self) -> str:
        node = self._node
        alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
        unnamed = set()
        for topic, expected in self._topics().items():
            if node.count_publishers(topic) < 2:
                continue
            infos = node.get_publishers_info_by_topic(topic)
            names = tuple(sorted(_name(info.node_namespace, info.node_name) for info in infos))
            if UNNAMED in names:
                unnamed.add(topic)
                if topic not in self._unnamed:
                    continue  # a node's name may come a little later than its publisher
            # One that has just gone may still have been counted.
            if len(names) > 1:
                alike[names].append(f"{topic} ({expected})" if expected else topic)
        self._unnamed = unnamed
        problems = [
            f"{', '.join(topics)} must have one publisher, not {_counted(names)}"
            for names, topics in sorted(alike.items())
        ]
        own = node.get_fully_qualified_name()
        same = sum(
            _name(space, name) == own for name, space in node.get_node_names_and_namespaces()
        )
        if same > 1:
            problems.append(f"{same} nodes are named {own}")
        if not problems:
            return ""
        twice = same > 1 or any(len(set(names)) < len(names) for names in alike)
        hint = f" (one that was killed is listed for {KILLED:g} s)" if twice else ""
        remedy = "stop one, or give each graph its own ROS_DOMAIN_ID or namespace"
        return f"{'; '.join(problems)}{hint}: {remedy}"


def _name(namespace: str, name: str) -> str:
    return UNNAMED if name == UNKNOWN else f"{namespace.rstrip('/')}/{name}"


def _counted(names: Iterable[str]) -> str:
    """'/a and /b', '/a (2 times)'."""
    counts = Counter(names).items()
    return " and ".join(name if n == 1 else f"{name} ({n} times)" for name, n in counts)
