# SPDX-License-Identifier: Apache-2.0
"""`ros2 bag play`."""

import argparse
import contextlib
import select
import sys
import time
from collections.abc import Iterator
from typing import Any

from .bag_info import open_bag
from .cli import UsageError
from .interface import full_definition

_DEFAULT_CLOCK_HZ = 40.0
_DELIVERY_SECONDS = 0.5  # what was published last is delivered before the end
_LONGEST_SLEEP = 0.05  # seconds between looks at the keyboard and the services


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options of `ros2 bag play`."""
    verb.add_argument("bag_path")
    verb.add_argument("-r", "--rate", type=float, default=1.0)
    verb.add_argument("--topics", nargs="+", default=[], help="only these topics")
    verb.add_argument("-x", "--exclude-topics", nargs="+", default=[])
    verb.add_argument("-m", "--remap", nargs="+", default=[], help="old:=new ...")
    verb.add_argument("-l", "--loop", action="store_true")
    verb.add_argument("-d", "--delay", type=float, default=0.0, help="seconds before the start")
    verb.add_argument("--start-offset", type=float, default=0.0, help="seconds to skip")
    verb.add_argument("-p", "--start-paused", action="store_true")
    verb.add_argument("--disable-keyboard-controls", action="store_true")
    verb.add_argument(
        "--clock",
        type=float,
        nargs="?",
        const=_DEFAULT_CLOCK_HZ,
        default=0.0,
        metavar="HZ",
        help="publish /clock",
    )


class BagClock:
    """Maps wall time to the bag's time, at a rate, with pauses."""

    def __init__(self, start: int, rate: float, *, paused: bool):
        self._bag, self._wall, self._rate = start, time.monotonic(), rate
        self.paused = paused

    def now(self) -> int:
        """Return the bag's time [ns]."""
        if self.paused:
            return self._bag
        return self._bag + int((time.monotonic() - self._wall) * self._rate * 1e9)

    def pause(self, paused: bool) -> None:
        """Stop or go on."""
        self._bag, self._wall, self.paused = self.now(), time.monotonic(), paused

    def seconds_until(self, stamp: int) -> float:
        """Return wall seconds until the bag's time is `stamp`."""
        return float("inf") if self.paused else (stamp - self.now()) / 1e9 / self._rate


class Player:
    """Publishes the messages of a bag at their times."""

    def __init__(self, node: Any, reader: Any, args: argparse.Namespace):
        self._node, self._reader, self._args = node, reader, args
        self._keyboard = sys.stdin.isatty() and not args.disable_keyboard_controls
        remap = dict(rule.split(":=", 1) for rule in args.remap)
        self._publishers = {}
        for connection in reader.connections:
            named = connection.topic in args.topics or not args.topics
            if named and connection.topic not in args.exclude_topics:
                topic = remap.get(connection.topic, connection.topic)
                try:
                    self._publishers[connection.id] = self._publisher(topic, connection)
                except UsageError as error:
                    node.get_logger().warning(f"{connection.topic} is not played: {error}")
        if not self._publishers:
            raise UsageError("no topic of the bag is left to play")
        self._start = reader.start_time + int(args.start_offset * 1e9)
        self._clock_publisher = None
        self.restart(paused=args.start_paused)
        if args.clock > 0.0:
            from rosgraph_msgs.msg import Clock

            self._clock_publisher = node.create_publisher(Clock, "/clock", 10)
        self._add_services()

    def restart(self, *, paused: bool) -> None:
        """Let the bag's time start now."""
        self._clock = BagClock(self._start, self._args.rate, paused=paused)
        self._next_clock = self._start

    def _publisher(self, topic: str, connection: Any) -> Any:
        from .graph import load_interface

        kind = load_interface(connection.msgtype)
        # Bytes are published as they are: of another definition they would mean something else.
        name, recorded = connection.msgtype, connection.msgdef.data
        if recorded and _identity(recorded, name) != _identity(full_definition(name), name):
            raise UsageError(f"the bag defines {name} in another way than what is installed")
        qos = _profile(connection.ext.offered_qos_profiles)
        return self._node.create_publisher(kind, topic, qos)

    def _add_services(self) -> None:
        from std_srvs.srv import Trigger

        def add(name: str, change: Any) -> None:
            def answer(_: Any, response: Any) -> Any:
                self._clock.pause(change())
                response.success, response.message = True, _state(self._clock.paused)
                return response

            self._node.create_service(Trigger, f"~/{name}", answer)

        add("pause", lambda: True)
        add("resume", lambda: False)
        add("toggle_paused", lambda: not self._clock.paused)

    def wait_for_subscribers(self) -> None:
        """Wait until who subscribes will also receive the first messages.

        A subscription is known before it is matched, and what is published in between is lost to
        it. After a fixed wait of half a second a listener has missed the first thirty steps.
        """
        from .graph import PATIENCE_SECONDS, discover, wait_until

        def matched() -> bool:
            return all(
                p.get_subscription_count() >= self._node.count_subscribers(p.topic_name)
                for p in self._publishers.values()
            )

        discover(self._node, None)
        wait_until(matched, PATIENCE_SECONDS)

    def play_once(self) -> None:
        """Publish everything once."""
        connections = [c for c in self._reader.connections if c.id in self._publishers]
        for connection, stamp, data in self._reader.messages(connections, start=self._start):
            self._wait_for(stamp)
            self._publishers[connection.id].publish(bytes(data))

    def _wait_for(self, stamp: int) -> None:
        import rclpy

        while True:
            self._publish_clock()
            due = self._clock.seconds_until(stamp)
            if due <= 0.0:
                return
            if self._clock_publisher is not None:
                due = min(due, max(0.0, self._clock.seconds_until(self._next_clock)))
            rclpy.spin_once(self._node, timeout_sec=0.0)
            self._sleep(min(due, _LONGEST_SLEEP))

    def _sleep(self, seconds: float) -> None:
        if not self._keyboard:
            time.sleep(seconds)
        elif select.select([sys.stdin], [], [], seconds)[0] and sys.stdin.read(1) == " ":
            self._clock.pause(not self._clock.paused)
            self._node.get_logger().info(_state(self._clock.paused))

    def _publish_clock(self) -> None:
        now = self._clock.now()
        if self._clock_publisher is not None and now >= self._next_clock:
            from rclpy.time import Time
            from rosgraph_msgs.msg import Clock

            self._clock_publisher.publish(Clock(clock=Time(nanoseconds=now).to_msg()))
            self._next_clock = now + int(1e9 / self._args.clock * self._args.rate)


def _identity(definition: str, type_name: str) -> str:
    """ROS's hash of a type, from its whole definition."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(definition, type_name))
    return store.hash_rihs01(type_name)


def _state(paused: bool) -> str:
    return "Pausing play." if paused else "Resuming play."


def _profile(offered: list[Any]) -> Any:
    """Return a profile that serves whoever could subscribe to the recorded publishers."""
    from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
    from rosbags.interfaces import QosDurability, QosReliability

    profile = QoSProfile(depth=10)
    if offered:
        profile.depth = max(1, *(qos.depth for qos in offered))
        if any(qos.reliability == QosReliability.BEST_EFFORT for qos in offered):
            profile.reliability = QoSReliabilityPolicy.BEST_EFFORT
        if all(qos.durability == QosDurability.TRANSIENT_LOCAL for qos in offered):
            profile.durability = QoSDurabilityPolicy.TRANSIENT_LOCAL
    return profile


@contextlib.contextmanager
def _single_keys(enabled: bool) -> Iterator[None]:
    """Let the terminal pass on keys without waiting for a line."""
    if not enabled:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def play(args: argparse.Namespace) -> int:
    """Publish a bag's messages; the space key pauses and resumes."""
    from .graph import temporary_node

    if args.rate <= 0.0:
        raise UsageError(f"--rate {args.rate}: must be greater than 0")
    if any(":=" not in rule for rule in args.remap):
        raise UsageError("--remap: expected old:=new")
    reader = open_bag(args.bag_path)
    keyboard = sys.stdin.isatty() and not args.disable_keyboard_controls
    try:
        with temporary_node("rosbag2_player") as node, _single_keys(keyboard):
            player = Player(node, reader, args)
            player.wait_for_subscribers()
            time.sleep(args.delay)
            player.restart(paused=args.start_paused)
            while True:
                player.play_once()
                if not args.loop:
                    break
                player.restart(paused=False)
            time.sleep(_DELIVERY_SECONDS)
    finally:
        reader.close()
    return 0
