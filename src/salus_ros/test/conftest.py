# SPDX-License-Identifier: Apache-2.0

import pytest
from rclpy.executors import SingleThreadedExecutor


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
