# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest

from salus_isaac.graph import build_graph
from salus_isaac.interface import load_interface
from salus_isaac.node_table import NodeTable
from salus_sim.scene import load_scene
from salus_sim.world.mujoco_world import MujocoWorld

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def scene():
    return load_scene()


@pytest.fixture(scope="module")
def world(scene):
    world = MujocoWorld(scene)
    yield world
    world.close()


@pytest.fixture(scope="session")
def interface():
    return load_interface()


@pytest.fixture(scope="session")
def table():
    return NodeTable.load()


@pytest.fixture
def graph(interface):
    return build_graph(interface)
