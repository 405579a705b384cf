# SPDX-License-Identifier: Apache-2.0
"""`ros2 node`."""

import argparse

from .cli import add_verbs


def _list(args: argparse.Namespace) -> int:
    from .graph import discover, node_names, temporary_node

    with temporary_node() as node:
        discover(node, args.spin_time)
        names = node_names(node, with_hidden=args.all)
    if args.count_nodes:
        print(len(names))
    else:
        print(*names, sep="\n", end="\n" if names else "")
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `ros2 node`."""

    def listing(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("-a", "--all", action="store_true", help="also hidden nodes")
        verb.add_argument("-c", "--count-nodes", action="store_true")
        verb.add_argument("--spin-time", type=float, help="seconds to wait for discovery")

    add_verbs(parser, {"list": ("List nodes", listing, _list)})
