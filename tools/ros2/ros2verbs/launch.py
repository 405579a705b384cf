# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch`."""

import argparse
import os
import sys
from pathlib import Path

from .cli import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ros2 launch`."""
    parser.add_argument(
        "-n",
        "--noninteractive",
        action="store_true",
        default=not sys.stdin.isatty(),
        help="there is no terminal: Ctrl-C is passed on to the processes",
    )
    parser.add_argument("-d", "--debug", action="store_true", help="show tracebacks")
    parser.add_argument(
        "-s", "--show-args", "--show-arguments", action="store_true", help="show the arguments"
    )
    parser.add_argument(
        "-a",
        "--show-all-subprocesses-output",
        action="store_true",
        help="show all output of all processes",
    )
    parser.add_argument("--launch-prefix", help="command to put before each executable")
    parser.add_argument("package_name", help="package, or path of a launch file")
    parser.add_argument("launch_file_name", nargs="?", help="name of the launch file")
    parser.add_argument("launch_arguments", nargs="*", help="name:=value ...; the last one wins")
    parser.set_defaults(function=launch)


def find_launch_file(package: str, name: str | None) -> Path:
    """Return the path of a launch file below a package's share folder.

    Raises:
        UsageError: no such package, no such file, or more than one.
    """
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        share = get_package_share_directory(package)
    except (PackageNotFoundError, LookupError, ValueError) as error:
        raise UsageError(f"Package '{package}' not found: {error}") from None
    if name is None:
        raise UsageError("No launch file supplied")
    found = [
        Path(folder, name) for folder, _, files in os.walk(share, followlinks=True) if name in files
    ]
    if len(found) != 1:
        problem = "was not found" if not found else "was found more than once"
        paths = f": {', '.join(map(str, found))}" if found else ""
        raise UsageError(
            f"file '{name}' {problem} in the share directory of package '{package}' "
            f"which is at '{share}'{paths}"
        )
    return found[0]


def parse_launch_arguments(arguments: list[str]) -> dict[str, str]:
    """Split name:=value.

    Raises:
        UsageError: an argument has another form.
    """
    parsed = {}
    for argument in arguments:
        name, separator, value = argument.partition(":=")
        if not name or not separator or not value:
            raise UsageError(
                f"malformed launch argument '{argument}', expected format '<name>:=<value>'"
            )
        parsed[name] = value
    return parsed


def launch(args: argparse.Namespace) -> int:
    """Run a launch file, or show its arguments."""
    arguments = list(args.launch_arguments)
    # Upstream takes any file for a launch file; at this repository's root there is one named salus.
    if os.path.isfile(args.package_name) and args.package_name.endswith(".py"):
        path = Path(args.package_name)
        if args.launch_file_name is not None:
            arguments.insert(0, args.launch_file_name)
    else:
        path = find_launch_file(args.package_name, args.launch_file_name)
    values = parse_launch_arguments(arguments)
    if args.launch_prefix:
        values["launch-prefix"] = args.launch_prefix

    from launch import LaunchDescription, LaunchService
    from launch._launch_description_sources import (
        PythonLaunchDescriptionSource,
        load_python_launch_file,
    )
    from launch.actions import IncludeLaunchDescription

    if args.show_args:
        show_arguments(load_python_launch_file(path))
        return 0
    if args.show_all_subprocesses_output:
        os.environ["OVERRIDE_LAUNCH_PROCESS_OUTPUT"] = "both"
    service = LaunchService(argv=arguments, noninteractive=args.noninteractive, debug=args.debug)
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(path)), launch_arguments=values.items()
    )
    service.include_launch_description(LaunchDescription([include]))
    return service.run()


def show_arguments(description) -> None:
    """Print the arguments of a launch description as upstream does."""
    print("Arguments (pass arguments as '<name>:=<value>'):")
    arguments = description.get_launch_arguments()
    for argument in arguments:
        mark = "*" if argument.conditionally_included else ""
        print(f"\n    '{argument.name}':{mark}\n        {argument.description}")
        if argument.default_value is not None:
            default = " + ".join(part.describe() for part in argument.default_value)
            print(f"        (default: {default})")
    if not arguments:
        print("\n  No arguments.")
    elif any(argument.conditionally_included for argument in arguments):
        print("\n* argument(s) which are only used if specific conditions occur")
