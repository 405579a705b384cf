# SPDX-License-Identifier: Apache-2.0
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros


@pytest.mark.parametrize("file", ["collect", "monitor", "replay"])
def test_every_launch_argument_has_a_description_and_a_default(ros2, tmp_path, file):
    command = ["ros2", "launch", "salus", f"{file}.launch.py", "--show-args"]
    shown = subprocess.run(
        command, env=ros2, cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    arguments = shown.split("\n    '")[1:]
    assert len(arguments) >= 7
    for text in arguments:
        name, description, default = (line.strip() for line in text.splitlines()[:3])
        assert len(description) > 5, name
        assert "no description given" not in description, name
        assert default.startswith("(default:"), name


def test_the_documented_line_works_in_the_repositorys_own_folder(ros2):
    root = Path(__file__).resolve().parents[3]
    command = ["ros2", "launch", "salus", "collect.launch.py", "--show-args"]
    shown = subprocess.run(command, env=ros2, cwd=root, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "'episodes'" in shown.stdout


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("episods:=3", "unknown launch argument 'episods': did you mean 'episodes'?"),
        ("episodes:=many", "episodes:=many: not a natural number"),
        ("seed:=-1", "seed:=-1: not a natural number"),
        ("simulator:=isaac", "simulator:=isaac cannot start:"),
        ("gpu:=first", "gpu:=first: not a natural number"),
        ("lockstep:=perhaps", "perhaps"),
        ("params_file:=nowhere.yaml", "params_file:=nowhere.yaml: no such file"),
    ],
)
def test_a_bad_argument_is_named_and_nothing_is_started(launch, argument, message):
    code, output = launch("collect.launch.py", argument, timeout=60)
    assert code == 1
    assert message in output
    assert "process started" not in output


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("predictor:=/nowhere", "predictor checkpoint '/nowhere' not found"),
        ("checkpoint:=/nowhere", "/nowhere"),
        ("policy:=imaginary", "imaginary"),
        ("difficulty:=absurd", "absurd"),
        ("faults:=absurd", "absurd"),
        ("output:=/proc/runs", "/proc/runs"),
        ("episodes:=0", "parameter 'episodes' must be"),
    ],
)
def test_what_a_node_refuses_ends_everything_with_its_reason_and_code_1(launch, argument, message):
    code, output = launch("collect.launch.py", argument, timeout=120)
    assert code == 1
    # Launch prints the command line as well: the node itself must have said it.
    said = [line for line in output.splitlines() if message in line and "[launch]" not in line]
    assert [line for line in said if "process has died" not in line], output[-3000:]


def test_an_unknown_parameter_in_a_parameter_file_ends_everything_by_name(launch, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/**/vla:\n  ros__parameters:\n    windw: 5\n")
    code, output = launch("collect.launch.py", f"params_file:={file}", timeout=120)
    assert code == 1
    assert "unknown parameter 'windw' for node 'vla': did you mean 'window'?" in output
