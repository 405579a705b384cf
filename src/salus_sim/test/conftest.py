# SPDX-License-Identifier: Apache-2.0
import gc
import os

import pytest
import rclpy

from salus_sim.scene import load_scene
from salus_sim.world.mujoco_world import MujocoWorld

os.environ["ROS_DOMAIN_ID"] = os.environ.get("SALUS_TEST_DOMAIN_ID", "64")
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


@pytest.fixture
def ros():
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()
    gc.collect()  # or the publishers of this test would be heard by the next


@pytest.fixture(scope="session")
def scene():
    return load_scene()


@pytest.fixture(scope="module")
def world(scene):
    world = MujocoWorld(scene)
    yield world
    world.close()
