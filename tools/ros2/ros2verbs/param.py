# SPDX-License-Identifier: Apache-2.0
"""`ros2 param`."""

import argparse

from .cli import UsageError, add_verbs

_LABELS = {
    "BOOL": "Boolean value is:",
    "INTEGER": "Integer value is:",
    "DOUBLE": "Double value is:",
    "STRING": "String value is:",
    "BYTE_ARRAY": "Byte values are:",
    "BOOL_ARRAY": "Boolean values are:",
    "INTEGER_ARRAY": "Integer values are:",
    "DOUBLE_ARRAY": "Double values are:",
    "STRING_ARRAY": "String values are:",
}


def _list(args: argparse.Namespace) -> int:
    from rcl_interfaces.srv import ListParameters

    from .graph import call, discover, node_names, require_node, temporary_node

    with temporary_node() as node:
        if args.node_name is not None:
            names = [require_node(node, args.node_name)]
        else:
            discover(node, None)
            names = node_names(node)
        request = ListParameters.Request()
        for name in names:
            response = call(node, ListParameters, f"{name}/list_parameters", request)
            if args.node_name is None:
                print(f"{name}:")
            for parameter in sorted(response.result.names):
                print(f"  {parameter}")
    return 0


def _get(args: argparse.Namespace) -> int:
    from rcl_interfaces.srv import GetParameters
    from rclpy.parameter import Parameter, parameter_value_to_python

    from .graph import call, require_node, temporary_node

    with temporary_node() as node:
        name = require_node(node, args.node_name)
        request = GetParameters.Request(names=[args.parameter_name])
        values = call(node, GetParameters, f"{name}/get_parameters", request).values
    if not values:
        raise UsageError("Parameter not set")
    kind = Parameter.Type(values[0].type)
    if kind == Parameter.Type.NOT_SET:
        print("Parameter not set.")
        return 0
    value = parameter_value_to_python(values[0])
    value = value.tolist() if hasattr(value, "tolist") else value
    print(value if args.hide_type else f"{_LABELS[kind.name]} {value}")
    return 0


def _set(args: argparse.Namespace) -> int:
    from rcl_interfaces.msg import Parameter
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import get_parameter_value

    from .graph import call, require_node, temporary_node

    with temporary_node() as node:
        name = require_node(node, args.node_name)
        value = get_parameter_value(args.value)
        parameter = Parameter(name=args.parameter_name, value=value)
        request = SetParameters.Request(parameters=[parameter])
        result = call(node, SetParameters, f"{name}/set_parameters", request).results[0]
    if not result.successful:
        raise UsageError(f"Setting parameter failed: {result.reason}")
    print("Set parameter successful" + (f": {result.reason}" if result.reason else ""))
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `ros2 param`."""

    def get(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("node_name")
        verb.add_argument("parameter_name")
        verb.add_argument("--hide-type", action="store_true")

    def change(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("node_name")
        verb.add_argument("parameter_name")
        verb.add_argument("value", help="as YAML")

    add_verbs(
        parser,
        {
            "list": ("List parameters", lambda v: v.add_argument("node_name", nargs="?"), _list),
            "get": ("Show a parameter", get, _get),
            "set": ("Set a parameter", change, _set),
        },
    )
