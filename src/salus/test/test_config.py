# SPDX-License-Identifier: Apache-2.0
"""Every name in config/*.yaml and in the launch files is a parameter of its node."""

import runpy
from pathlib import Path

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory

from salus_core.data import load_splits
from salus_core.signals import DEFAULT_WINDOW
from salus_core.supervision import Limits
from salus_policies.backends.base import LoadOptions
from salus_sim.scene import load_scene
from salus_studies.collection.episode import MIN_FREE_BYTES

CONFIG = Path(__file__).resolve().parents[1] / "config"
ROOT = Path(__file__).resolve().parents[3]
PARAMETERS = runpy.run_path(str(ROOT / "tools/docs/parameters.py"))
declared = PARAMETERS["of_node"]


def entries():
    for file in sorted(set(CONFIG.glob("*.yaml")) - set(CONFIG.glob("dataset*.yaml"))):
        for key, content in yaml.safe_load(file.read_text()).items():
            for name, value in content["ros__parameters"].items():
                yield pytest.param(key, name, value, id=f"{file.stem}-{key}-{name}")


@pytest.mark.parametrize(("key", "name", "value"), list(entries()))
def test_a_key_of_a_parameter_file_is_a_parameter_and_its_value_fits(key, name, value):
    assert key.startswith("/**/"), "parameter files must work in any namespace"
    node = key.removeprefix("/**/")
    known = declared(node)
    assert name in known
    assert known[name].problem(value) == ""


def test_data_sets_are_collected_with_the_nodes_values():
    """The command dataset knows no parameters of nodes: its own values are the same ones."""
    given = yaml.safe_load((CONFIG / "collect.yaml").read_text())

    def value(node, name):
        own = given[f"/**/{node}"]["ros__parameters"]
        return own.get(name, declared(node)[name].default)

    assert value("vla", "window") == DEFAULT_WINDOW
    assert value("vla", "threads") == LoadOptions().threads
    assert value("recorder", "min_free_bytes") == MIN_FREE_BYTES
    assert value("supervisor", "mode") == "observe"
    assert value("supervisor", "max_translation") == Limits().translation
    assert value("supervisor", "max_rotation") == Limits().rotation


@pytest.mark.parametrize("file", sorted(CONFIG.glob("dataset*.yaml")), ids=lambda file: file.stem)
def test_tables_of_splits_hold_the_standard_seeds(file):
    splits = load_splits(file)
    standard = load_splits(CONFIG / "dataset.yaml")
    for name in ("train", "validation", "calibration", "test"):
        assert (splits[name].first, splits[name].last) == (
            standard[name].first,
            standard[name].last,
        )
    if "heldout_task" in splits:  # whose episodes are calibration's and test's
        (task,) = splits["heldout_task"].tasks
        assert {*splits["train"].tasks, task} == set(load_scene().tasks)
        assert splits["heldout_task"].first == standard["calibration"].first
        assert splits["heldout_task"].last == standard["test"].last
        for name in ("train", "validation", "calibration", "test"):
            assert splits[name].tasks == splits["train"].tasks
            assert task not in splits[name].tasks


@pytest.mark.parametrize("node", PARAMETERS["NODES"])
def test_every_parameter_says_what_it_is(node):
    for spec in declared(node).values():
        assert spec.description.endswith((".", ")")), spec.name


def test_the_page_of_parameters_is_what_the_nodes_declare():
    written = (ROOT / "docs/parameters.md").read_text()
    assert written == PARAMETERS["document"](), "run tools/docs/parameters.py"


def test_the_policy_of_sros2_is_made_of_the_documented_topics():
    written = (ROOT / "config/sros2_policy.xml").read_text()
    made = runpy.run_path(str(ROOT / "tools/sros2/policy.py"))["policy"]
    assert written == made(), "run tools/sros2/policy.py"
    remapped = made("cell", {"joint_states": "/arm/state"})
    assert "<topic>/arm/state</topic>" in remapped
    assert "<topic>joint_states</topic>" not in remapped
    assert '<profile ns="/cell" node="vla">' in remapped


@pytest.mark.parametrize("launch_file", ["collect", "monitor", "replay"])
def test_launch_and_parameter_files_are_installed(launch_file):
    share = Path(get_package_share_directory("salus"))
    assert (share / "launch" / f"{launch_file}.launch.py").is_file()
    assert (share / "config" / f"{launch_file}.yaml").is_file()
