# SPDX-License-Identifier: Apache-2.0
"""`ros2 run`."""

import argparse
import os
import shlex

from .cli import UsageError
from .pkg import executables, prefix_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ros2 run`."""
    parser.add_argument("--prefix", help="command to put before the executable")
    parser.add_argument("package_name")
    parser.add_argument("executable_name")
    parser.add_argument("argv", nargs=argparse.REMAINDER, help="passed to the executable")
    parser.set_defaults(function=run)


def run(args: argparse.Namespace) -> int:
    """Replace this process by the executable, so that signals and the exit code are its own."""
    paths = executables(prefix_of(args.package_name), args.package_name)
    path = next((path for path in paths if path.name == args.executable_name), None)
    if path is None:
        names = ", ".join(path.name for path in paths) or "none"
        raise UsageError(
            f"No executable found: package '{args.package_name}' has {names}, "
            f"not '{args.executable_name}'"
        )
    command = [*shlex.split(args.prefix or ""), str(path), *args.argv]
    os.execvp(command[0], command)
    return 1
