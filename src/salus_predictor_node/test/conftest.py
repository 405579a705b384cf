# SPDX-License-Identifier: Apache-2.0
import gc
import os
import sys
from pathlib import Path

import pytest
import rclpy
from made_up_predictors import checkpoint, data  # noqa: F401 - fixtures

sys.path.insert(0, str(Path(__file__).parent))  # rig.py

os.environ["ROS_DOMAIN_ID"] = os.environ.get("SALUS_TEST_DOMAIN_ID", "65")
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


@pytest.fixture
def ros():
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()
    gc.collect()  # or the publishers of this test would be heard by the next
