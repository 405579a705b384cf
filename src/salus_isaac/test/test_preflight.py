# SPDX-License-Identifier: Apache-2.0
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from salus_isaac import preflight
from salus_isaac.main import main

READY = {"ROS_DISTRO": "jazzy"}


def interpreter(tmp_path, version, absent, then="exit 0"):
    """A python.sh that answers the probe so, and otherwise does `then`."""
    file = tmp_path / "python.sh"
    answer = json.dumps([version, absent])
    file.write_text(
        f"#!/bin/bash\nif [ \"$1\" = -c ]; then echo Starting; echo '{answer}'; exit; fi\n{then}\n"
    )
    file.chmod(0o755)
    return str(file)


def environment(python, **more):
    return {**os.environ, "SALUS_ISAAC_PYTHON": python, **READY, **more}


def test_nothing_is_missing_where_everything_is_there(tmp_path):
    assert preflight.missing(environment(interpreter(tmp_path, [3, 12], []))) == []


def test_without_isaac_sim_it_says_exactly_what_to_install(tmp_path):
    python = interpreter(tmp_path, [3, 12], ["isaacsim"])
    (problem,) = preflight.missing(environment(python))
    command = "pip install 'isaacsim[all,extscache]==6.0.1' --extra-index-url"
    assert f"{command} https://pypi.nvidia.com" in problem
    assert python in problem
    assert "SALUS_ISAAC_PYTHON" in problem


@pytest.mark.parametrize(
    ("version", "absent", "distro", "message"),
    [
        ([3, 11], [], "jazzy", "is Python 3.11: Isaac Sim 6.0.1 needs 3.12"),
        ([3, 12], ["rclpy", "salus_msgs"], "jazzy", "cannot import rclpy, salus_msgs"),
        ([3, 12], ["mujoco"], "jazzy", "cannot import mujoco"),
        ([3, 12], [], "", "ROS_DISTRO is not set"),
        ([3, 12], [], "rolling", "ROS_DISTRO is not set to jazzy or humble"),
    ],
)
def test_whatever_else_is_missing_is_named(tmp_path, version, absent, distro, message):
    python = interpreter(tmp_path, version, absent)
    (problem,) = preflight.missing(environment(python, ROS_DISTRO=distro))
    assert message in problem


def test_an_interpreter_that_does_not_run_is_named():
    (problem,) = preflight.missing(environment("/nowhere/python.sh"))
    assert "/nowhere/python.sh does not run" in problem
    assert "correct SALUS_ISAAC_PYTHON" in problem


def test_the_executable_refuses_with_code_1_and_the_reasons(monkeypatch, tmp_path, capsys):
    python = interpreter(tmp_path, [3, 12], ["isaacsim"])
    monkeypatch.setenv("SALUS_ISAAC_PYTHON", python)
    assert main(["--headless", "true", "--ros-args", "-r", "__node:=world"]) == 1
    assert "simulator:=isaac cannot start:" in capsys.readouterr().err


def run_main(python, *arguments):
    code = "import sys; from salus_isaac.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment(python),
        stdout=subprocess.PIPE,
        text=True,
    )


def test_it_runs_under_the_interpreter_that_has_isaac_sim(tmp_path):
    python = interpreter(tmp_path, [3, 12], [], then='echo "$@ $SALUS_ISAAC_PYTHON"; exit 7')
    process = run_main(python, "--gpu", "1", "--ros-args", "-p", "lockstep:=true")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 7
    # Without the variable, so that it does not start itself again.
    assert "-m salus_isaac.main --gpu 1 --ros-args -p lockstep:=true \n" in output


def test_a_stop_signal_reaches_what_runs_below_a_shell(tmp_path):
    child = f"{sys.executable} -c 'import time; print(1, flush=True); time.sleep(60)'"
    process = run_main(interpreter(tmp_path, [3, 12], [], then=child))
    assert process.stdout.readline() == "1\n"
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert time.monotonic() - started < 20
    assert process.returncode != 0


def test_check_only_says_whether_it_could_start(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SALUS_ISAAC_PYTHON", interpreter(tmp_path, [3, 12], []))
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    assert main(["--check"]) == 0
    assert "can be started" in capsys.readouterr().out
