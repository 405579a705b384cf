# SPDX-License-Identifier: Apache-2.0
import gc
import os

import pytest
import rclpy

os.environ["ROS_DOMAIN_ID"] = os.environ.get("SALUS_TEST_DOMAIN_ID", "64")
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


@pytest.fixture
def ros():
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()
    gc.collect()  # or the publishers of this test would be heard by the next
