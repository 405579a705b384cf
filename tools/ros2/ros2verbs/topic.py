# SPDX-License-Identifier: Apache-2.0
"""`ros2 topic`."""

import argparse

from . import topic_echo, topic_hz
from .cli import add_verbs


def _list(args: argparse.Namespace) -> int:
    from .graph import discover, hidden, temporary_node

    with temporary_node() as node:
        discover(node, args.spin_time)
        topics = sorted(node.get_topic_names_and_types())
    shown = [(n, t) for n, t in topics if args.include_hidden_topics or not hidden(n)]
    if args.count_topics:
        print(len(shown))
        return 0
    for name, types in shown:
        print(f"{name} [{', '.join(types)}]" if args.show_types else name)
    return 0


def _info(args: argparse.Namespace) -> int:
    from .graph import absolute, discover, temporary_node, topic_type

    with temporary_node() as node:
        name = absolute(args.topic_name)
        print(f"Type: {topic_type(node, name)}")
        discover(node, args.spin_time)
        for label, infos in (
            ("Publisher", node.get_publishers_info_by_topic(name)),
            ("Subscription", node.get_subscriptions_info_by_topic(name)),
        ):
            print(f"\n{label} count: {len(infos)}")
            for info in infos if args.verbose else ():
                qos = info.qos_profile
                print(
                    f"\nNode name: {info.node_name}\nNode namespace: {info.node_namespace}\n"
                    f"Topic type: {info.topic_type}\nQoS profile:\n"
                    f"  Reliability: {qos.reliability.name}\n"
                    f"  History (Depth): {qos.history.name} ({qos.depth})\n"
                    f"  Durability: {qos.durability.name}"
                )
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `ros2 topic`."""

    def listing(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("-t", "--show-types", action="store_true")
        verb.add_argument("-c", "--count-topics", action="store_true")
        verb.add_argument("--include-hidden-topics", action="store_true")
        verb.add_argument("--spin-time", type=float, help="seconds to wait for discovery")

    def info(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("topic_name")
        verb.add_argument("-v", "--verbose", action="store_true", help="show nodes and QoS")
        verb.add_argument("--spin-time", type=float, help="seconds to wait for discovery")

    add_verbs(
        parser,
        {
            "list": ("List topics", listing, _list),
            "info": ("Show type, publishers and subscriptions of a topic", info, _info),
            "echo": ("Print messages", topic_echo.add_options, topic_echo.echo),
            "hz": ("Print the rate of a topic", topic_hz.add_options, topic_hz.measure),
        },
    )
