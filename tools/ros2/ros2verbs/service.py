# SPDX-License-Identifier: Apache-2.0
"""`ros2 service`."""

import argparse

from .cli import UsageError, add_verbs


def _list(args: argparse.Namespace) -> int:
    from .graph import discover, hidden, temporary_node

    with temporary_node() as node:
        discover(node, args.spin_time)
        services = sorted(node.get_service_names_and_types())
    for name, types in services:
        if args.include_hidden_services or not hidden(name):
            print(f"{name} [{', '.join(types)}]" if args.show_types else name)
    return 0


def _call(args: argparse.Namespace) -> int:
    from .graph import absolute, call, load_interface, temporary_node
    from .values import fill, parse_yaml

    service_type = load_interface(args.service_type)
    if not hasattr(service_type, "Request"):
        raise UsageError(f"'{args.service_type}' is no service")
    request = service_type.Request()
    fill(request, parse_yaml(args.values))
    with temporary_node() as node:
        print(f"requester: making request: {request!r}\n")
        print(f"response:\n{call(node, service_type, absolute(args.service_name), request)!r}\n")
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `ros2 service`."""

    def listing(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("-t", "--show-types", action="store_true")
        verb.add_argument("--include-hidden-services", action="store_true")
        verb.add_argument("--spin-time", type=float, help="seconds to wait for discovery")

    def calling(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("service_name")
        verb.add_argument("service_type", help="such as std_srvs/srv/Trigger")
        verb.add_argument("values", nargs="?", default="{}", help="fields of the request, as YAML")

    add_verbs(
        parser,
        {"list": ("List services", listing, _list), "call": ("Call a service", calling, _call)},
    )
