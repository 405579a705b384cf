# SPDX-License-Identifier: Apache-2.0
"""Entry point: finds the verb and runs it."""

import argparse
import importlib
import signal
import sys

COMMANDS = {
    "bag": "Record, play and describe bags",
    "interface": "Show messages and services",
    "launch": "Run a launch file",
    "lifecycle": "Ask for and change states of managed nodes",
    "node": "List nodes",
    "param": "List, get and set parameters",
    "pkg": "List packages and find their prefixes and executables",
    "run": "Run an executable of a package",
    "service": "List and call services",
    "topic": "List topics, print their messages, measure their rates",
}


class UsageError(Exception):
    """The command cannot be carried out; the text says why."""


def main(arguments: list[str]) -> int:
    """Run `ros2 arguments...`; return the exit code."""
    if not arguments or arguments[0] not in COMMANDS:
        listing = "\n".join(f"  {name:<11}{text}" for name, text in COMMANDS.items())
        usage = f"usage: ros2 COMMAND ...\n\nCommands (a subset of ROS 2's):\n{listing}"
        if arguments and arguments[0] in ("-h", "--help"):
            print(usage)
            return 0
        unknown = f"ros2: unknown command '{arguments[0]}'\n" if arguments else ""
        print(f"{unknown}{usage}", file=sys.stderr)
        return 1 if not arguments else 2
    module = importlib.import_module(f"ros2verbs.{arguments[0]}")
    parser = argparse.ArgumentParser(
        prog=f"ros2 {arguments[0]}", description=COMMANDS[arguments[0]]
    )
    module.add_arguments(parser)
    parsed = parser.parse_args(arguments[1:])
    # A shell starts what it runs in the background with SIGINT ignored: listen all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = parsed.function(parsed)
    except KeyboardInterrupt:
        return 2
    except UsageError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stdout = None  # nobody reads any more; do not flush into the closed pipe
        return 0
    return result or 0


def add_verbs(parser: argparse.ArgumentParser, verbs: dict) -> None:
    """Add verbs: name -> (help, function that adds arguments, function to call)."""
    choices = parser.add_subparsers(metavar="VERB", required=True)
    for name, (text, add, function) in verbs.items():
        verb = choices.add_parser(name, help=text, description=text)
        add(verb)
        verb.set_defaults(function=function)
