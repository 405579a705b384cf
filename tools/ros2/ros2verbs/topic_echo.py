# SPDX-License-Identifier: Apache-2.0
"""`ros2 topic echo`."""

import argparse
import functools
import time
from typing import Any

from .cli import UsageError

_QOS_OPTIONS = ("reliability", "durability", "depth", "history")


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options of `ros2 topic echo`."""
    verb.add_argument("topic_name")
    verb.add_argument("message_type", nargs="?", help="such as std_msgs/msg/String")
    verb.add_argument("--qos-profile", default="sensor_data", help="preset to start from")
    verb.add_argument("--qos-reliability", choices=["reliable", "best_effort", "best_available"])
    verb.add_argument("--qos-durability", choices=["volatile", "transient_local", "best_available"])
    verb.add_argument("--qos-depth", type=int)
    verb.add_argument("--qos-history", choices=["keep_last", "keep_all"])
    verb.add_argument("--field", help="print one field, such as pose.position")
    verb.add_argument("--full-length", "-f", action="store_true", help="do not cut long values")
    verb.add_argument("--truncate-length", "-l", type=int, default=128)
    verb.add_argument("--no-arr", action="store_true", help="do not print arrays")
    verb.add_argument("--no-str", action="store_true", help="do not print texts")
    verb.add_argument("--csv", action="store_true", help="one line a message")
    verb.add_argument("--flow-style", action="store_true")
    verb.add_argument("--raw", action="store_true", help="print the serialized message")
    verb.add_argument("--filter", dest="filter_expr", help="Python expression over the message m")
    verb.add_argument("--once", action="store_true", help="end after the first message")
    verb.add_argument("--timeout", type=float, help="end after this many seconds")
    verb.add_argument("--spin-time", type=float, help="seconds to wait for the topic")


def choose_qos(args: argparse.Namespace, publishers: list[Any]) -> Any:
    """Return the given quality of service, else the best that all publishers offer."""
    from rclpy.qos import QoSPresetProfiles

    profile = QoSPresetProfiles.get_from_short_key(args.qos_profile)
    given = {name: getattr(args, f"qos_{name}") for name in _QOS_OPTIONS}
    if any(value is not None for value in given.values()):
        for name, value in given.items():
            if value is not None:
                setattr(profile, name, value if name == "depth" else _policy(name, value))
        return profile
    return common_qos(profile, publishers)


def common_qos(profile: Any, publishers: list[Any]) -> Any:
    """Set the reliability and durability that connect to all publishers, and return the profile."""
    from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy

    offers = [info.qos_profile for info in publishers]
    if not offers:
        return profile
    reliable = [offer.reliability == QoSReliabilityPolicy.RELIABLE for offer in offers]
    latched = [offer.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL for offer in offers]
    for name, offered in (("reliable", reliable), ("transient local", latched)):
        if any(offered) and not all(offered):
            print(f"Some, but not all, publishers are {name}: falling back to what all offer")
    profile.reliability = (
        QoSReliabilityPolicy.RELIABLE if all(reliable) else QoSReliabilityPolicy.BEST_EFFORT
    )
    profile.durability = (
        QoSDurabilityPolicy.TRANSIENT_LOCAL if all(latched) else QoSDurabilityPolicy.VOLATILE
    )
    return profile


def _policy(name: str, value: str) -> Any:
    from rclpy import qos

    policies = {
        "reliability": qos.QoSReliabilityPolicy,
        "durability": qos.QoSDurabilityPolicy,
        "history": qos.QoSHistoryPolicy,
    }
    return policies[name](policies[name].get_from_short_key(value))


def echo(args: argparse.Namespace) -> int:
    """Print messages of a topic until Ctrl-C, the first message, or the timeout."""
    import rclpy

    from .graph import PATIENCE_SECONDS, absolute, load_interface, temporary_node, topic_type

    done = []
    with temporary_node() as node:
        topic = absolute(args.topic_name)
        if args.message_type is None:
            patience = PATIENCE_SECONDS if args.spin_time is None else args.spin_time
            message_type = load_interface(topic_type(node, topic, patience))
            time.sleep(0.2)  # the other publishers of the topic are discovered meanwhile
        else:
            message_type = load_interface(args.message_type)
        publishers = node.get_publishers_info_by_topic(topic)

        def receive(message: Any) -> None:
            if not (args.once and done) and _print(args, message):
                done.append(True)

        qos = choose_qos(args, publishers)
        node.create_subscription(message_type, topic, receive, qos, raw=args.raw)
        end = None if args.timeout is None else time.monotonic() + args.timeout
        while not (args.once and done) and (end is None or time.monotonic() < end):
            rclpy.spin_once(node, timeout_sec=0.1)
    return 0


def _print(args: argparse.Namespace, message: Any) -> bool:
    """Print a message; return False if the filter does not want it."""
    from .values import to_csv, to_yaml

    if args.field is not None:
        try:
            message = functools.reduce(getattr, filter(None, args.field.split(".")), message)
        except AttributeError as error:
            raise UsageError(f"Invalid field '{args.field}': {error}") from None
    # The expression comes from the user's own command line, as it does upstream.
    if args.filter_expr and not eval(args.filter_expr, {"m": message}):
        return False
    if args.raw:
        print(message, end="\n---\n", flush=True)
        return True
    options = {
        "length": None if args.full_length else args.truncate_length,
        "arrays": not args.no_arr,
        "strings": not args.no_str,
    }
    if args.csv:
        print(to_csv(message, **options), flush=True)
    elif hasattr(message, "get_fields_and_field_types"):
        print(to_yaml(message, flow_style=args.flow_style, **options), end="---\n", flush=True)
    else:
        print(message, end="\n---\n", flush=True)
    return True
