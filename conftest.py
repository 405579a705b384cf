# SPDX-License-Identifier: Apache-2.0
"""A ROS domain for each process that runs tests: they never meet each other or a running suite."""

import gc
import os

import pytest

FIRST_DOMAIN = int(os.environ.get("SALUS_TEST_DOMAIN_ID", "61"))
# Before any node exists; pytest-xdist numbers its processes gw0, gw1, ...
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
os.environ["ROS_DOMAIN_ID"] = str(FIRST_DOMAIN + WORKER)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


@pytest.fixture
def ros():
    """A context of rclpy."""
    import rclpy  # not at the top: most tests run where there is no ROS

    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()
    gc.collect()  # or the publishers of this test would be heard by the next
