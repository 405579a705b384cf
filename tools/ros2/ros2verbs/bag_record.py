# SPDX-License-Identifier: Apache-2.0
"""`ros2 bag record`."""

import argparse
import re
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from .cli import UsageError

_QUEUE_DEPTH = 200  # messages a topic may wait; a camera's are 0.2 MB each
_FLUSH_PERIOD = 1.0  # seconds of messages that are lost where a recording is killed


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options of `ros2 bag record`."""
    verb.add_argument("topics", nargs="*", help="topics to record")
    verb.add_argument("--topics", dest="more_topics", nargs="+", default=[])
    verb.add_argument("-a", "--all", action="store_true", help="record all topics")
    verb.add_argument("-e", "--regex", help="record topics that match")
    verb.add_argument("-x", "--exclude-regex", help="leave out topics that match")
    verb.add_argument("-o", "--output", help="folder of the bag; must not exist")
    verb.add_argument("-s", "--storage", choices=["mcap", "sqlite3"], default="mcap")
    verb.add_argument("--use-sim-time", action="store_true", help="stamp with /clock")
    verb.add_argument("--include-hidden-topics", action="store_true")
    verb.add_argument("-p", "--polling-interval", type=int, default=100, help="milliseconds")


class Recorder:
    """Subscribes to what it finds and writes it, with definitions and offered QoS."""

    def __init__(self, node: Any, writer: Any, args: argparse.Namespace):
        self._node, self._writer, self._args = node, writer, args
        self._wanted = {name if name.startswith("/") else f"/{name}" for name in _topics(args)}
        self._subscribed: set[str] = set()
        self.messages = 0
        self.lost = 0

    def discover(self) -> None:
        """Subscribe to the topics that have appeared."""
        for topic, types in self._node.get_topic_names_and_types():
            if topic in self._subscribed or not self._matches(topic):
                continue
            publishers = self._node.get_publishers_info_by_topic(topic)
            if publishers:
                self._subscribed.add(topic)
                self._subscribe(topic, types[0], publishers)

    def _matches(self, topic: str) -> bool:
        from .graph import hidden

        args = self._args
        if args.exclude_regex and re.search(args.exclude_regex, topic):
            return False
        if args.all or (args.regex and re.search(args.regex, topic)):
            return args.include_hidden_topics or not hidden(topic)
        return topic in self._wanted

    def _subscribe(self, topic: str, type_name: str, publishers: list[Any]) -> None:
        from rclpy.event_handler import SubscriptionEventCallbacks
        from rclpy.qos import QoSProfile

        from .graph import load_interface
        from .interface import full_definition
        from .topic_echo import common_qos

        logger = self._node.get_logger()
        try:
            message_type, definition = load_interface(type_name), full_definition(type_name)
        except UsageError as error:
            logger.warning(f"topic '{topic}' is not recorded: {error}")
            return
        connection = self._writer.add_connection(
            topic,
            type_name,
            msgdef=definition,
            rihs01=str(publishers[0].topic_type_hash),
            offered_qos_profiles=[_offered(info.qos_profile) for info in publishers],
        )

        def receive(message: bytes) -> None:
            stamp = self._node.get_clock().now().nanoseconds
            if stamp > 0:  # with simulation time, nothing is recorded before the first /clock
                self._writer.write(connection, stamp, message)
                self.messages += 1

        def lose(event: Any) -> None:
            self.lost += event.total_count_change

        qos = common_qos(QoSProfile(depth=_QUEUE_DEPTH), publishers)
        events = SubscriptionEventCallbacks(message_lost=lose)
        self._node.create_subscription(
            message_type, topic, receive, qos, raw=True, event_callbacks=events
        )
        logger.info(f"Subscribed to topic '{topic}'")

    def flush(self) -> None:
        """Hand what was received to the file system, so that a killed recording can be read."""
        storage = self._writer.storage
        if self._args.storage == "sqlite3":
            storage.conn.commit()
            return
        if storage.chunk.bio.tell():
            storage.close_chunk()
        storage.bio.flush()


def _topics(args: argparse.Namespace) -> list[str]:
    return [*args.topics, *args.more_topics]


def _offered(qos: Any) -> Any:
    """Return rclpy's QoS profile as rosbags' one."""
    from rosbags import interfaces

    def time_of(duration: Any) -> Any:
        return interfaces.QosTime(*divmod(duration.nanoseconds, 10**9))

    return interfaces.Qos(
        history=interfaces.QosHistory(int(qos.history)),
        depth=qos.depth,
        reliability=interfaces.QosReliability(int(qos.reliability)),
        durability=interfaces.QosDurability(int(qos.durability)),
        deadline=time_of(qos.deadline),
        lifespan=time_of(qos.lifespan),
        liveliness=interfaces.QosLiveliness(int(qos.liveliness)),
        liveliness_lease_duration=time_of(qos.liveliness_lease_duration),
        avoid_ros_namespace_conventions=qos.avoid_ros_namespace_conventions,
    )


def record(args: argparse.Namespace) -> int:
    """Record until Ctrl-C."""
    if not (_topics(args) or args.all or args.regex):
        raise UsageError("Need to specify topics, --all or --regex")

    import rclpy
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.rosbag2.errors import WriterError

    from .graph import temporary_node

    output = Path(args.output or f"rosbag2_{datetime.now():%Y_%m_%d-%H_%M_%S}")
    # Whoever ends it with SIGTERM wants a readable bag too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        writer = Writer(output, version=9, storage_plugin=StoragePlugin[args.storage.upper()])
        writer.open()
    except (WriterError, OSError) as error:
        raise UsageError(f"cannot write the bag: {error}") from None
    with temporary_node("rosbag2_recorder", use_sim_time=args.use_sim_time) as node:
        recorder = Recorder(node, writer, args)
        node.get_logger().info(f"Recording to '{output}'; Ctrl-C ends it")
        looked, flushed = float("-inf"), time.monotonic()
        try:
            while True:
                if time.monotonic() - looked > args.polling_interval / 1000.0:
                    looked = time.monotonic()
                    recorder.discover()
                if time.monotonic() - flushed > _FLUSH_PERIOD:
                    flushed = time.monotonic()
                    recorder.flush()
                rclpy.spin_once(node, timeout_sec=args.polling_interval / 1000.0)
        except KeyboardInterrupt:
            node.get_logger().info(f"Recording stopped: {recorder.messages} messages")
        finally:
            writer.close()
        if recorder.lost:
            node.get_logger().warning(f"{recorder.lost} messages were lost before they were read")
    return 0
