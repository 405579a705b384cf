# SPDX-License-Identifier: Apache-2.0

import pytest

from salus_sim.scene import load_scene
from salus_sim.world.mujoco_world import MujocoWorld


@pytest.fixture(scope="session")
def scene():
    return load_scene()


@pytest.fixture(scope="module")
def world(scene):
    world = MujocoWorld(scene)
    yield world
    world.close()
