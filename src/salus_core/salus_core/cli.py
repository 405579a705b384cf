# SPDX-License-Identifier: Apache-2.0
"""The command `salus`: one word for everything that runs without a ROS graph."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from importlib import metadata

from salus_core.commands.boundary import write_utf8

GROUP = "salus.commands"
"""Entry points of this group are commands; each package of SALUS registers its own."""


def commands() -> dict[str, metadata.EntryPoint]:
    """The commands of the packages that are installed, by name."""
    found = sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: point for point in found}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the command and its arguments; None: those of the process.

    Returns:
        The exit code: 0, what the command returns, or 2 for a usage error.
    """
    write_utf8()
    given = list(sys.argv[1:] if argv is None else argv)
    known = commands()
    if not given or given[0] in ("-h", "--help", "help"):
        print(_usage(known))
        return 0 if given else 2
    name, arguments = given[0].replace("-", "_"), given[1:]
    if arguments and (joined := f"{name}_{arguments[0]}".replace("-", "_")) in known:
        name, arguments = joined, arguments[1:]  # `salus study prevention`
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f": did you mean '{close[0]}'?" if close else ""
        print(f"salus: there is no command '{given[0]}'{hint}\n{_usage(known)}", file=sys.stderr)
        return 2
    try:
        run = known[name].load()
    except ModuleNotFoundError as error:
        remedy = _remedy(known[name])
        print(f"salus {name}: needs the Python package '{error.name}': {remedy}", file=sys.stderr)
        return 1
    return int(run(arguments) or 0)


def _remedy(point: metadata.EntryPoint) -> str:
    """What to install for a command: the package that registers it, with all its extras."""
    assert point.dist is not None  # entry points of installed packages have one
    name = point.dist.name
    extras = ",".join(sorted(point.dist.metadata.get_all("Provides-Extra") or ()))
    wanted = f"'{name}[{extras}]'" if extras else name
    return f"pip install {wanted} installs what the commands of {name} need"


def _usage(known: dict[str, metadata.EntryPoint]) -> str:
    names = "\n".join(f"  {name}" for name in known)
    return (
        "usage: salus COMMAND ...\n\ncommands of the installed packages "
        f"('salus COMMAND --help' describes each):\n{names}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
