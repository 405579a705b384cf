# SPDX-License-Identifier: Apache-2.0
"""A managed node that publishes a latched message and joint states at 50 Hz."""

import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import String


def main():
    rclpy.init()
    node = LifecycleNode("talker", namespace="robot")
    node.declare_parameter("gain", 1.5)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    status = rclpy.node.Node.create_publisher(node, String, "status", latched)
    status.publish(String(data="latched"))
    joints = rclpy.node.Node.create_publisher(node, JointState, "joints", 10)
    message = JointState(name=["a", "b"], position=[float(i) for i in range(200)])
    message.header.frame_id = "base"
    node.create_timer(0.02, lambda: joints.publish(message))
    print("talking", flush=True)
    rclpy.spin(node)


main()
