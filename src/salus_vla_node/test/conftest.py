# SPDX-License-Identifier: Apache-2.0
import sys
import time
from pathlib import Path

import pytest

# tiny_backend is found by the registry as everybody's own backend is: by its import path.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    from tiny_backend import make_checkpoint

    return make_checkpoint(tmp_path_factory.mktemp("policies") / "tiny")


@pytest.fixture
def executor(ros):
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor()
    yield executor
    executor.shutdown()


@pytest.fixture
def spin_until(executor):
    def spin(condition, seconds=8.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            executor.spin_once(timeout_sec=0.02)

    return spin


@pytest.fixture
def make_node(executor, checkpoint):
    import rclpy
    from robot import Robot

    from salus_vla_node.vla_node import VlaNode

    nodes = []

    def make(start=True, log=None, **parameters):
        """A VLA node and the robot in front of it; `log` collects its error messages."""
        given = {
            "backend": "tiny_backend:TinyBackend",
            "checkpoint": str(checkpoint),
            "checkpoint_folders": ["/"],
            **parameters,
        }
        node = VlaNode(
            parameter_overrides=[rclpy.parameter.Parameter(k, value=v) for k, v in given.items()]
        )
        robot = Robot()
        for made in (node, robot):
            executor.add_node(made)
            nodes.append(made)
        if start:
            assert node.start()
        return node, robot

    yield make
    for node in nodes:
        if hasattr(node, "close"):
            node.close()
        node.destroy_node()


@pytest.fixture
def running(make_node, spin_until):
    node, robot = make_node()
    robot.episode()
    spin_until(robot.is_connected)
    return node, robot
