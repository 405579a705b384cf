# SPDX-License-Identifier: Apache-2.0
import gc
import os

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor

# A domain of their own: tests never meet the nodes of a running suite.
os.environ["ROS_DOMAIN_ID"] = os.environ.get("SALUS_TEST_DOMAIN_ID", "63")
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


@pytest.fixture
def ros():
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()
    gc.collect()  # or the publishers of this test would be heard by the next


@pytest.fixture
def executor(ros):
    executor = SingleThreadedExecutor()
    yield executor
    executor.shutdown()


@pytest.fixture
def spin_until(executor):
    """Spin until a condition holds; fails after `seconds`."""
    import time

    def spin(condition, seconds=5.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            executor.spin_once(timeout_sec=0.05)

    return spin
