# SPDX-License-Identifier: Apache-2.0
"""`ros2 topic hz`."""

import argparse
import collections
import statistics
import time


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options of `ros2 topic hz`."""
    verb.add_argument("topic_name")
    verb.add_argument("--window", "-w", dest="window_size", type=int, default=10000)
    verb.add_argument("--wall-time", action="store_true", help="accepted; always wall time here")


class Rate:
    """Intervals of the last messages, of which at most `window` are kept."""

    def __init__(self, window: int):
        self._intervals: collections.deque[float] = collections.deque(maxlen=window)
        self._last: float | None = None

    def add(self, now: float) -> None:
        """Count a message that came at a time [s]."""
        if self._last is not None:
            self._intervals.append(now - self._last)
        self._last = now

    def describe(self) -> str | None:
        """Return upstream's two lines, or None before the second message."""
        if not self._intervals:
            return None
        mean = statistics.fmean(self._intervals)
        return (
            f"average rate: {1.0 / mean if mean > 0.0 else 0.0:.3f}\n"
            f"\tmin: {min(self._intervals):.3f}s max: {max(self._intervals):.3f}s "
            f"std dev: {statistics.pstdev(self._intervals):.5f}s window: {len(self._intervals)}"
        )


def measure(args: argparse.Namespace) -> int:
    """Print the rate about once a second until Ctrl-C."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data

    from .graph import absolute, load_interface, temporary_node, topic_type

    rate, received = Rate(args.window_size), []

    def receive(_: bytes) -> None:
        rate.add(time.monotonic())
        received.append(True)

    with temporary_node() as node:
        topic = absolute(args.topic_name)
        message_type = load_interface(topic_type(node, topic, float("inf")))
        # Raw: the rate needs no deserialized message, and images are large.
        node.create_subscription(message_type, topic, receive, qos_profile_sensor_data, raw=True)
        printed = time.monotonic()
        while rclpy.ok():
            rclpy.spin_once(node, timeout_sec=0.2)
            if received and time.monotonic() - printed >= 1.0:
                printed = time.monotonic()
                received.clear()
                print(rate.describe() or "no interval yet", flush=True)
    return 0
