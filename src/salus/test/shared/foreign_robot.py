# SPDX-License-Identifier: Apache-2.0
"""A robot that has never heard of SALUS, and a policy for it."""

import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import rclpy
import yaml
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState

JOINTS = ["shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3"]
HEIGHT, WIDTH = 24, 32
POLICIES = Path(__file__).resolve().parents[3] / "salus_policies/test"
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
    """Its own names, standard messages only."""

    def __init__(self, context, period=1 / 30):
        self.node = rclpy.create_node("cell_driver", namespace="cell", context=context)
        publish = self.node.create_publisher
        self._image = publish(Image, "overhead/rgb", qos_profile_sensor_data)
        self._joints = publish(JointState, "arm/state", qos_profile_sensor_data)
        self._pose = publish(PoseStamped, "arm/tcp", qos_profile_sensor_data)
        self._count = 0
        self.node.create_timer(period, self._tick)
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


def policy_for(joints, folder):
    sys.path.insert(0, str(POLICIES))
    try:
        from numpy_backend import make_checkpoint
    finally:
        sys.path.remove(str(POLICIES))
    return make_checkpoint(folder, joints=joints, camera="top", size=(HEIGHT, WIDTH))


TOPICS = ("joint_states:=/cell/arm/state", "tool_pose:=/cell/arm/tcp", "command:=/cell/arm/motion")


def with_policies(environment):
    """An environment in which the tests' own policy backends are found by their import path."""
    path = os.pathsep.join([str(POLICIES), os.environ.get("PYTHONPATH", "")])
    return {**environment, "PYTHONPATH": path}


def start_monitor(environment, folder, parameters, *arguments):
    """Start monitor.launch.py in a folder with the parameters of nodes; returns process and log."""
    (folder / "cell.yaml").write_text(
        yaml.safe_dump({node: {"ros__parameters": given} for node, given in parameters.items()})
    )
    command = ["ros2", "launch", "--noninteractive", "salus", "monitor.launch.py"]
    log = folder / "launch.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, f"params_file:={folder / 'cell.yaml'}", *arguments],
            env=with_policies(environment),
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process, log
