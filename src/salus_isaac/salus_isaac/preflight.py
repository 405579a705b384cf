# SPDX-License-Identifier: Apache-2.0
"""What must be there before Isaac Sim can be started, checked without starting it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

PYTHON_VARIABLE = "SALUS_ISAAC_PYTHON"
"""Environment variable: the interpreter that has Isaac Sim, or an installation's python.sh."""
VERSION = "6.0.1"
PYTHON_VERSION = [3, 12]
ROS_DISTROS = ("jazzy", "humble")
INSTALL = (
    f"pip install 'isaacsim[all,extscache]=={VERSION}' --extra-index-url https://pypi.nvidia.com"
)
_OF_PYPI = ("numpy", "yaml", "mujoco")
_OF_ROS = ("rclpy", "salus_core", "salus_msgs", "salus_sim", "salus_ros")
_PROBE = (
    "import importlib.util as u, json, sys; "
    "print(json.dumps([list(sys.version_info[:2]), "
    "[n for n in sys.argv[1:] if u.find_spec(n) is None]]))"
)


def isaac_python(environment: Mapping[str, str] | None = None) -> str:
    """The interpreter that is to run Isaac Sim: SALUS_ISAAC_PYTHON, or this one."""
    environment = os.environ if environment is None else environment
    return os.path.expanduser(environment.get(PYTHON_VARIABLE, "")) or sys.executable


def missing(environment: Mapping[str, str] | None = None) -> list[str]:
    """What keeps Isaac Sim from starting, each with what to do; empty if nothing does.

    Args:
        environment: variables to look at; None: the process's.
    """
    environment = os.environ if environment is None else environment
    python = isaac_python(environment)
    try:
        version, absent = _probe(python, environment)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return [f"{python} does not run ({error}): correct {PYTHON_VARIABLE}"]
    problems = []
    if "isaacsim" in absent:
        problems.append(
            f"Isaac Sim {VERSION} is not installed for {python}: in an environment of Python "
            f"{'.'.join(map(str, PYTHON_VERSION))} run\n    {INSTALL}\n"
            f"and set {PYTHON_VARIABLE} to that environment's python, or to the python.sh of an "
            "installation"
        )
    if version != PYTHON_VERSION:
        problems.append(
            f"{python} is Python {'.'.join(map(str, version))}: Isaac Sim {VERSION} needs "
            f"{'.'.join(map(str, PYTHON_VERSION))}, and so do the messages of SALUS: build the "
            "workspace with ROS 2 Jazzy on Ubuntu 24.04"
        )
    rest = [name for name in absent if name != "isaacsim"]
    if rest:
        problems.append(
            f"{python} cannot import {', '.join(rest)}: source the built workspace, and pip "
            "install what is on PyPI (mujoco, PyYAML, numpy)"
        )
    if environment.get("ROS_DISTRO", "") not in ROS_DISTROS:
        problems.append(
            "ROS_DISTRO is not set to jazzy or humble: source ROS 2 and the built workspace before "
            "the start (the libraries that come with Isaac Sim lack the messages of SALUS)"
        )
    return problems


def report(problems: list[str]) -> str:
    """The problems as one message."""
    items = "\n".join(f"- {problem}" for problem in problems)
    return f"simulator:=isaac cannot start:\n{items}\nSee docs/isaac.md."


def _probe(python: str, environment: Mapping[str, str]) -> tuple[list[int], list[str]]:
    """Version of an interpreter, and which modules it does not find."""
    shown = subprocess.run(
        [python, "-c", _PROBE, "isaacsim", *_OF_PYPI, *_OF_ROS],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    version, absent = json.loads(shown.strip().splitlines()[-1])
    return version, absent
