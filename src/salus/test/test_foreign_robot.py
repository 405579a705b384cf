# SPDX-License-Identifier: Apache-2.0
"""monitor.launch.py beside a robot with other topics, other joints and standard messages only."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
import yaml
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from salus_msgs.msg import ActionCommand, FailureForecast, SignalInfo, VlaSignals
from sensor_msgs.msg import Image, JointState

from salus_core.actions import TOOL_MOTION
from salus_ros import qos

pytestmark = pytest.mark.ros

JOINTS = ["shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3"]
HEIGHT, WIDTH = 24, 32
POLICIES = Path(__file__).resolve().parents[2] / "salus_policies/test"
PARAMETERS = {
    "/**/vla": {
        "step_source": "images",
        "stamp_tolerance": 0.04,
        "image_reliability": "best_effort",
        "camera_topics": ["top=/cell/overhead/rgb"],
        "joint_names": JOINTS,
        "finger_joint_names": ["jaw"],
        "joint_lower": [-3.1] * 6,
        "joint_upper": [3.1] * 6,
    },
    "/**/supervisor": {"episode_source": "signals"},
}


class ForeignRobot:
    """It has never heard of SALUS: its own names, standard messages only."""

    def __init__(self, context):
        self.node = rclpy.create_node("cell_driver", namespace="cell", context=context)
        publish = self.node.create_publisher
        self._image = publish(Image, "overhead/rgb", qos_profile_sensor_data)
        self._joints = publish(JointState, "arm/state", qos_profile_sensor_data)
        self._pose = publish(PoseStamped, "arm/tcp", qos_profile_sensor_data)
        self._count = 0
        self.node.create_timer(0.1, self._tick)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def _tick(self):
        self._count += 1
        stamp = self.node.get_clock().now().to_msg()
        angles = [0.3 * math.sin(0.1 * self._count + i) for i in range(len(JOINTS))]
        # Another order than the policy's, a gripper among them, and no velocities.
        joints = JointState(name=["jaw", *JOINTS[::-1]], position=[0.02, *angles[::-1]])
        joints.header.stamp = stamp
        pose = PoseStamped()
        pose.header.stamp = stamp
        pose.header.frame_id = "cell_base"
        pose.pose.position.x = 0.4 + 0.01 * math.sin(0.1 * self._count)
        image = Image(height=HEIGHT, width=WIDTH, encoding="bgr8", step=3 * WIDTH)
        image.header.stamp = stamp
        image.data = bytes([self._count % 256]) * (3 * WIDTH * HEIGHT)
        self._joints.publish(joints)
        self._pose.publish(pose)
        self._image.publish(image)

    def close(self):
        self._executor.shutdown()
        self._thread.join(5)
        self.node.destroy_node()


@pytest.fixture
def monitor(ros2, tmp_path):
    """Start monitor.launch.py with the cell's parameters; it is stopped at the end."""
    started = []
    (tmp_path / "cell.yaml").write_text(
        yaml.safe_dump({node: {"ros__parameters": p} for node, p in PARAMETERS.items()})
    )

    def start(*arguments):
        path = os.pathsep.join([str(POLICIES), os.environ.get("PYTHONPATH", "")])
        command = ["ros2", "launch", "--noninteractive", "salus", "monitor.launch.py"]
        with (tmp_path / "launch.log").open("w") as log:
            process = subprocess.Popen(
                [*command, f"params_file:={tmp_path / 'cell.yaml'}", *arguments],
                env={**ros2, "PYTHONPATH": path},
                cwd=tmp_path,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process, tmp_path / "launch.log"

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)


@pytest.fixture
def context(ros2):
    os.environ.update({k: ros2[k] for k in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")})
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


def policy_for(joints, folder):
    sys.path.insert(0, str(POLICIES))
    try:
        from numpy_backend import make_checkpoint
    finally:
        sys.path.remove(str(POLICIES))
    return make_checkpoint(folder, joints=joints, camera="top", size=(HEIGHT, WIDTH))


TOPICS = ("joint_states:=/cell/arm/state", "tool_pose:=/cell/arm/tcp", "command:=/cell/arm/motion")


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
