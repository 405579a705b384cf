# SPDX-License-Identifier: Apache-2.0
import gc
import os

import pytest
import rclpy
from supervisor_rig import Rig

os.environ["ROS_DOMAIN_ID"] = os.environ.get("SALUS_TEST_DOMAIN_ID", "64")
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


@pytest.fixture
def ros():
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()
    gc.collect()  # or the publishers of this test would be heard by the next


@pytest.fixture
def rig_of(ros):
    """Makes rigs, and ends them."""
    rigs = []

    def make(kind=Rig, **kwargs):
        rigs.append(kind(**kwargs))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.executor.shutdown()
        rig.supervisor.close()
        rig.supervisor.destroy_node()
        rig.node.destroy_node()
