# SPDX-License-Identifier: Apache-2.0
"""`ros2 lifecycle`."""

import argparse

from .cli import UsageError, add_verbs


def _nodes(node, name: str | None) -> list[str]:
    from .graph import discover, require_node

    if name is not None:
        return [require_node(node, name)]
    discover(node, None)
    services = dict(node.get_service_names_and_types())
    suffix = "/get_state"
    return sorted(
        service.removesuffix(suffix)
        for service, types in services.items()
        if service.endswith(suffix) and "lifecycle_msgs/srv/GetState" in types
    )


def _list_nodes(args: argparse.Namespace) -> int:
    from .graph import temporary_node

    with temporary_node() as node:
        print(*_nodes(node, None), sep="\n")
    return 0


def _get(args: argparse.Namespace) -> int:
    from lifecycle_msgs.srv import GetState

    from .graph import call, temporary_node

    with temporary_node() as node:
        for name in _nodes(node, args.node_name):
            state = call(node, GetState, f"{name}/get_state", GetState.Request()).current_state
            prefix = "" if args.node_name else f"{name}: "
            print(f"{prefix}{state.label} [{state.id}]")
    return 0


def _set(args: argparse.Namespace) -> int:
    from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions

    from .graph import call, require_node, temporary_node

    with temporary_node() as node:
        name = require_node(node, args.node_name)
        listing = call(
            node,
            GetAvailableTransitions,
            f"{name}/get_available_transitions",
            GetAvailableTransitions.Request(),
        )
        available = [item.transition for item in listing.available_transitions]
        chosen = [t for t in available if args.transition in (t.label, str(t.id))]
        if not chosen:
            choices = "\n".join(f"- {t.label} [{t.id}]" for t in available)
            raise UsageError(f"Unknown transition requested, available ones are:\n{choices}")
        request = ChangeState.Request(transition=chosen[0])
        if not call(node, ChangeState, f"{name}/change_state", request).success:
            raise UsageError("Transitioning failed")
        print("Transitioning successful")
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `ros2 lifecycle`."""

    def change(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("node_name")
        verb.add_argument("transition", help="label or number")

    add_verbs(
        parser,
        {
            "nodes": ("List managed nodes", lambda verb: None, _list_nodes),
            "get": ("Show states", lambda v: v.add_argument("node_name", nargs="?"), _get),
            "set": ("Trigger a transition", change, _set),
        },
    )
