# SPDX-License-Identifier: Apache-2.0
"""`isaac_world`: Isaac Sim in the place of the embedded world.

Runs in the interpreter that has Isaac Sim: this one, or the one that SALUS_ISAAC_PYTHON names.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys

from salus_isaac import preflight


def _arguments(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Own options, and what is ROS's."""
    parser = argparse.ArgumentParser(prog="isaac_world", description=__doc__)
    parser.add_argument(
        "--headless", choices=["true", "false"], default="true", help="Without a window or with."
    )
    parser.add_argument("--gpu", type=int, default=0, help="Number of the GPU.")
    parser.add_argument(
        "--check", action="store_true", help="Only say whether Isaac Sim could be started."
    )
    own = arguments.index("--ros-args") if "--ros-args" in arguments else len(arguments)
    return parser.parse_args(arguments[:own]), arguments[own:]


def run_elsewhere(command: list[str]) -> int:
    """Run a command in a session of its own and pass stop signals on to all of it.

    An installation's python.sh is a shell that would keep them from Python.

    Returns:
        Its exit code.
    """
    # There it is this interpreter, whatever python.sh calls it.
    environment = {k: v for k, v in os.environ.items() if k != preflight.PYTHON_VARIABLE}
    process = subprocess.Popen(command, env=environment, start_new_session=True)

    def pass_on(number: int, _frame: object) -> None:
        if process.poll() is None:
            os.killpg(process.pid, number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    code = process.wait()
    return code if code >= 0 else 128 - code


def main(arguments: list[str] | None = None) -> int:
    """Check what is needed, then run the world; 1 if something is missing."""
    given = sys.argv[1:] if arguments is None else arguments
    options, ros_arguments = _arguments(given)
    problems = preflight.missing()
    if problems:
        print(preflight.report(problems), file=sys.stderr, flush=True)
        return 1
    if options.check:
        print(f"Isaac Sim can be started with {preflight.isaac_python()}")
        return 0
    python = preflight.isaac_python()
    if python != sys.executable:
        return run_elsewhere([python, "-m", "salus_isaac.main", *given])
    from salus_isaac.bridge import run_bridge

    return run_bridge(options.headless == "true", options.gpu, ros_arguments)


if __name__ == "__main__":
    sys.exit(main())
