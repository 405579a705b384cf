# SPDX-License-Identifier: Apache-2.0
"""The commands of `salus`, and their other spelling, `ros2 run PACKAGE COMMAND`."""

import re
import runpy
import sys
from importlib import metadata
from pathlib import Path

import pytest

from salus_core import cli

ROOT = Path(__file__).resolve().parents[3]
PROCESSES = {"check_isaac_graph", "episode_runner", "isaac_world", "salus"}
"""Executables that are no commands, beside the nodes (`..._node`)."""


@pytest.fixture
def entry_points(monkeypatch):
    """Returns the entry points of a group that the setup.py of each package names."""

    def read(group):
        found = []
        for file in sorted(ROOT.glob("src/*/setup.py")):
            given = {}
            with monkeypatch.context() as patch:
                patch.setattr("setuptools.setup", given.update)
                patch.chdir(file.parent)
                runpy.run_path(str(file))
            for line in given.get("entry_points", {}).get(group, []):
                name, target = line.split(" = ")
                found.append(metadata.EntryPoint(name, target, group))
        return found

    return read


def test_ros2_run_and_salus_run_the_same_functions(entry_points):
    commands = {point.name: point.load() for point in entry_points("salus.commands")}
    spellings = {
        point.name: point.load()
        for point in entry_points("console_scripts")
        if point.name not in PROCESSES and not point.name.endswith("_node")
    }
    assert spellings == commands


def test_the_installed_commands_are_those_that_the_packages_register(entry_points):
    registered = {point.name: point.value for point in entry_points("salus.commands")}
    assert {name: point.value for name, point in cli.commands().items()} == registered


@pytest.mark.parametrize(
    ("command", "missing", "remedy"),
    [
        ("replay", "salus_core.commands.replay", "pip install 'salus_core[bags,predictors]'"),
        ("dataset", "salus_studies.collection.dataset", "pip install salus_studies"),
        ("train_policy", "salus_studies.policy_training.train_policy", "pip install salus_studies"),
    ],
)
def test_the_remedy_names_the_package_of_the_command(command, missing, remedy, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, missing, None)  # Python then raises ModuleNotFoundError
    assert cli.main([command]) == 1
    message = capsys.readouterr().err
    assert remedy in message
    assert missing in message


def test_the_entry_script_passes_every_command_on(entry_points):
    script = (ROOT / "salus.sh").read_text()
    (passed,) = re.findall(r"^  (ablate \|.*)\) ;;$", script, re.MULTILINE)
    names = {point.name for point in entry_points("salus.commands")}
    assert {*passed.split(" | "), "dataset"} == names
