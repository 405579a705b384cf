# SPDX-License-Identifier: Apache-2.0
"""The entry script: what it asks of a machine, and what it does only once."""

import re
import subprocess

import pytest


def without(key):
    return rf"s/=no$/=yes/; s/^{key}=yes/{key}=no/"


@pytest.mark.parametrize(
    ("key", "package", "reason"),
    [
        ("header", r"libpython3\.\d+-dev", "Python's headers"),
        ("venv", r"python3\.\d+-venv", "makes the environment"),
        ("egl", "libegl1", "libEGL"),
        ("opengl", "libgl1", "libGL"),
        ("renderer", "libgl1-mesa-dri", "Mesa's renderer"),
    ],
)
def test_what_the_machine_lacks_is_named_with_its_reason(checkout, key, package, reason):
    code, output = checkout.salus("setup", PROBE=without(key))
    assert code == 1
    lines = output.splitlines()
    assert lines[0] == "This machine lacks:"
    assert re.fullmatch(rf"  {package}: {reason}.*", lines[1])
    assert lines[-1] == f"  sudo apt-get install {lines[1].split(':')[0].strip()}"
    assert not (checkout.root / ".venv").exists()


def test_a_missing_compiler_is_named(checkout):
    checkout.remove("c++", "g++", "clang++")
    code, output = checkout.salus("setup")
    assert code == 1
    assert "  g++: a C++ compiler, to build the messages\n" in output
    assert output.endswith("sudo apt-get install g++\n")
    code, output = checkout.salus("setup", CXX="my-c++")
    assert code == 1
    assert "the C++ compiler that CXX names: my-c++" in output


@pytest.mark.parametrize("way", ["none", "too old"])
def test_a_missing_python_is_named(checkout, way):
    if way == "none":
        checkout.remove("python3")
    code, output = checkout.salus("setup", PROBE="s/^wheels=yes/wheels=no/")
    assert code == 1
    assert "  python3: Python 3.11, 3.12 or 3.13\n" in output
    assert output.endswith(
        "sudo apt-get install python3 python3-venv python3-dev libegl1 libgl1 libgl1-mesa-dri\n"
    )


def test_what_debian_cannot_give_is_told_apart(checkout):
    probe = without("header") + "; s/^debian=yes/debian=no/"
    code, output = checkout.salus("setup", PROBE=probe)
    assert code == 1
    assert f"the headers (Python.h) of {checkout.bin}/python3" in output
    assert "apt-get" not in output


def test_unknown_verbs_are_refused_and_help_needs_nothing(checkout):
    code, output = checkout.salus("collct")
    assert code == 2
    assert "unknown verb 'collct'" in output
    checkout.remove("python3")
    code, output = checkout.salus("--help")
    assert code == 0
    assert "collect [name:=value ...]" in output


def test_a_failing_pip_shows_its_last_lines_and_is_tried_again(checkout):
    requirements = checkout.root / "tools/env/requirements.txt"
    requirements.write_text("no-such-package-of-salus==1.0\n")
    code, output = checkout.salus("setup")
    assert code == 1
    assert "salus: pip install failed. The last lines of " in output
    assert "log/pip.log:" in output
    assert "No matching distribution found for no-such-package-of-salus==1.0" in output
    assert len(output.splitlines()) < 30
    requirements.write_text("")
    code, output = checkout.salus("setup")
    assert code == 0
    assert "Making .venv" not in output  # only pip had failed


def test_the_second_run_does_nothing_again(prepared):
    before = prepared.count("preparations"), prepared.count("builds")
    (prepared.root / "src/one/code.py").write_text("A = 2\n")
    (prepared.root / "src/one/new.py").write_text("B = 1\n")
    code, output = prepared.salus("setup")
    assert (code, output) == (0, "Ready.\n")
    assert (prepared.count("preparations"), prepared.count("builds")) == before


def test_changed_requirements_are_installed_and_changed_packages_built(prepared):
    preparations, builds = prepared.count("preparations"), prepared.count("builds")
    (prepared.root / "src/one/params.yaml").write_text("a: 1\n")
    assert prepared.salus("setup")[0] == 0
    assert (prepared.count("preparations"), prepared.count("builds")) == (preparations, builds + 1)
    (prepared.root / "tools/env/constraints.txt").write_text("# other\n")
    code, output = prepared.salus("setup")
    assert code == 0
    assert "Making .venv" not in output
    assert prepared.count("preparations") == preparations + 1


def test_an_interrupted_install_is_made_anew(prepared):
    (prepared.root / ".venv/salus.stamp").unlink()
    (prepared.root / ".venv/salus.installing").touch()
    (prepared.root / ".venv/half-a-package").touch()
    code, output = prepared.salus("setup")
    assert code == 0
    assert "Making .venv" in output
    assert not (prepared.root / ".venv/half-a-package").exists()


def test_of_two_runs_at_once_one_waits(prepared):
    builds = prepared.count("builds")
    (prepared.root / "src/one/package.xml").write_text("<package></package>")
    runs = [prepared.start("setup") for _ in range(2)]
    outputs = sorted(run.communicate(timeout=60.0)[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert outputs[0] == "Another ./salus.sh is preparing the workspace: waiting for it\nReady.\n"
    assert prepared.count("builds") == builds + 1


def test_a_failing_build_shows_its_last_lines(prepared):
    colcon = next((prepared.root / ".venv/lib").glob("python3*/site-packages/colcon.py"))
    good = colcon.read_text()
    colcon.write_text("print('line\\n' * 100, 'no rule to make it')\nraise SystemExit(1)\n")
    (prepared.root / "src/one/package.xml").write_text("<package><!-- other --></package>")
    try:
        code, output = prepared.salus("setup")
    finally:
        colcon.write_text(good)
    assert code == 1
    assert "building the workspace failed" in output
    assert "no rule to make it" in output
    assert len(output.splitlines()) < 30
    assert prepared.salus("setup")[0] == 0


def test_collect_gives_few_episodes_and_the_runs_folder(prepared, tmp_path):
    code, output = prepared.salus("collect", "seed:=4", cwd=tmp_path)
    assert code == 0
    runs = prepared.root / "runs"
    lines = output.splitlines()
    assert lines[:3] == ["<launch>", "<salus>", "<collect.launch.py>"]
    assert lines[3:6] == ["<episodes:=3>", f"<output:={runs}>", "<seed:=4>"]
    assert (runs / "COLCON_IGNORE").is_file()
    _, output = prepared.salus("collect", "episodes:=9", f"output:={tmp_path}")
    assert output.splitlines()[3:5] == ["<episodes:=9>", f"<output:={tmp_path}>"]


def test_commands_run_in_the_environment_and_the_users_variables_win(prepared):
    _, output = prepared.salus("ros2", "node", "list", PYTHONPATH="/elsewhere")
    assert output.startswith("<node>\n<list>\n")
    lines = output.splitlines()
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST" in lines
    assert "MUJOCO_GL=egl" in lines
    assert "SOURCED=yes" in lines
    assert not any(line.startswith("PYTHONPATH=/elsewhere") for line in lines)
    _, output = prepared.salus("ros2", ROS_AUTOMATIC_DISCOVERY_RANGE="SUBNET", MUJOCO_GL="osmesa")
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET" in output.splitlines()
    assert "MUJOCO_GL=osmesa" in output.splitlines()


def test_the_exit_code_is_that_of_the_command(prepared):
    ros2 = prepared.root / "tools/ros2/bin/ros2"
    good = ros2.read_text()
    ros2.write_text("#!/bin/sh\nexit 7\n")
    try:
        assert prepared.salus("ros2", "anything")[0] == 7
    finally:
        ros2.write_text(good)


def test_it_works_through_a_link_from_anywhere(prepared, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(prepared.root / "salus.sh")
    done = subprocess.run(
        [link, "setup"], cwd="/", env=prepared.environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "Ready.\n")


def test_a_sourced_distribution_is_used(checkout, tmp_path, colcon):
    """Only what ./salus.sh looks at of a distribution is made up here."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/colcon.py").write_text(colcon)
    distribution = {
        "ROS_DISTRO": "jazzy",
        "AMENT_PREFIX_PATH": "/opt/ros/jazzy",
        "PYTHONPATH": str(tmp_path / "modules"),
    }
    checkout.remove("c++", "g++", "clang++")  # what it builds with is the distribution's matter
    code, output = checkout.salus("setup", **distribution)
    assert code == 0, output
    config = (checkout.root / ".venv/pyvenv.cfg").read_text()
    assert "include-system-site-packages = true" in config
    assert checkout.count("preparations") == 0  # no wheels of ROS
    _, output = checkout.salus("shell", "-c", "env", SHELL="/bin/sh", **distribution)
    assert "AMENT_PREFIX_PATH=/opt/ros/jazzy" in output.splitlines()
    assert "tools/ros2/bin" not in output
    code, output = checkout.salus("setup", PROBE=without("rclpy"), **distribution)
    assert "Not using the ROS 2 distribution 'jazzy'" in output


def test_numpy_is_the_distributions(checkout, tmp_path):
    """Its message packages are compiled for the NumPy that it comes with."""
    (checkout.root / "tools/env/requirements.txt").write_text("numpy==2.4.6\n")
    code, output = checkout.salus("setup", ROS_DISTRO="jazzy", AMENT_PREFIX_PATH="/opt/ros/jazzy")
    assert code == 1
    assert "No matching distribution found for numpy==1.26.4" in output
