# SPDX-License-Identifier: Apache-2.0
"""monitor.launch.py beside a robot with other topics, other joints and standard messages only."""

import signal
import time

import numpy as np
import pytest
import rclpy
from foreign_robot import PARAMETERS, TOPICS, ForeignRobot, policy_for, start_monitor
from rclpy.executors import SingleThreadedExecutor
from salus_msgs.msg import ActionCommand, FailureForecast, SignalInfo, VlaSignals

from salus_core.actions import TOOL_MOTION
from salus_ros import qos

pytestmark = pytest.mark.ros


@pytest.fixture
def monitor(ros2, tmp_path):
    """Start monitor.launch.py with the cell's parameters; it is stopped at the end."""
    started = []

    def start(*arguments):
        process, log = start_monitor(ros2, tmp_path, PARAMETERS, *arguments)
        started.append(process)
        return process, log

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)


@pytest.fixture
def context(ros2):
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    yield context
    rclpy.try_shutdown(context=context)


class Watcher:
    """Collects what SALUS says."""

    def __init__(self, context):
        self.node = rclpy.create_node("watcher", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self.heard = {}
        for topic, kind, profile in (
            ("/salus/vla_signals", VlaSignals, qos.RELIABLE),
            ("/salus/signal_info", SignalInfo, qos.LATCHED),
            ("/salus/failure_forecast", FailureForecast, qos.RELIABLE),
            ("/cell/arm/motion", ActionCommand, qos.RELIABLE),
        ):
            heard = self.heard[topic.rpartition("/")[2]] = []
            self.node.create_subscription(kind, topic, heard.append, profile)

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()

    def wait_for(self, counts, process, log, seconds=300):
        end = time.monotonic() + seconds
        while any(len(self.heard[name]) < count for name, count in counts.items()):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, f"{ {k: len(v) for k, v in self.heard.items()} }"
            self.executor.spin_once(timeout_sec=0.1)


@pytest.fixture
def watcher(context):
    watcher = Watcher(context)
    yield watcher
    watcher.close()  # or the next tests would find it in the graph


def test_a_foreign_robot_gets_signals_forecasts_and_commands(monitor, context, watcher, tmp_path):
    process, log = monitor(
        "policy:=numpy_backend:NumpyBackend",
        f"checkpoint:={policy_for(6, tmp_path / 'policy')}",
        "instruction:=sort the parts",
        *TOPICS,
    )
    robot = ForeignRobot(context)
    counts = {"vla_signals": 15, "signal_info": 1, "failure_forecast": 5, "motion": 5}
    watcher.wait_for(counts, process, log)
    robot.close()
    for message in watcher.heard["vla_signals"]:
        assert message.header.frame_id == "" or message.header.frame_id == "cell_base"
        assert np.isfinite(message.action).all()
        assert 2.7 < message.constraint_margin < 3.1
        assert message.valid & 1 << VlaSignals.CONSTRAINT_MARGIN
        assert message.valid & 1 << VlaSignals.EPISTEMIC_UNCERTAINTY
    steps = [message.step for message in watcher.heard["vla_signals"]]
    assert steps == sorted(set(steps))
    # Without a checkpoint a forecast says so, and carries no numbers.
    status = {message.status for message in watcher.heard["failure_forecast"]}
    assert status == {FailureForecast.STATUS_NO_CHECKPOINT}


def test_a_policy_for_another_number_of_joints_does_not_start(monitor, tmp_path):
    process, log = monitor(
        "policy:=numpy_backend:NumpyBackend",
        f"checkpoint:={policy_for(7, tmp_path / 'policy')}",
        "instruction:=sort the parts",
        *TOPICS,
    )
    assert process.wait(300) == 1
    assert "made for 7 joints, not 6" in log.read_text()


def test_signals_of_ones_own_node_are_enough(monitor, watcher):
    process, log = monitor(
        "policy:=none",
        "vla_signals:=/cell/policy/signals",
        "signal_info:=/cell/policy/info",
        *TOPICS,
    )
    publisher = watcher.node.create_publisher(VlaSignals, "/cell/policy/signals", qos.RELIABLE)
    info = watcher.node.create_publisher(SignalInfo, "/cell/policy/info", qos.LATCHED)
    info.publish(
        SignalInfo(
            action_names=list(TOOL_MOTION.names),
            action_units=list(TOOL_MOTION.units),
            action_kinds=[str(kind) for kind in TOOL_MOTION.kinds],
            control_period=0.1,
        )
    )
    step = 0

    def tick():
        nonlocal step
        action = [0.001, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
        message = VlaSignals(episode=1, step=step, action=action, action_magnitude=0.1, valid=2)
        message.header.stamp = watcher.node.get_clock().now().to_msg()
        publisher.publish(message)
        step += 1

    watcher.node.create_timer(0.1, tick)
    watcher.wait_for({"failure_forecast": 3, "motion": 3}, process, log)
    assert "vla_node" not in log.read_text()
