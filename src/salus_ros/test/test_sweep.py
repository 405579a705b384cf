# SPDX-License-Identifier: Apache-2.0
"""No message stays where it lies, and none comes twice."""

import threading
import time

import pytest
import rclpy
from rclpy.node import Node
from std_msgs.msg import Int32

from salus_ros import qos
from salus_ros.managed_node import Executor
from salus_ros.sweep import Sweep

pytestmark = pytest.mark.ros


def test_what_nobody_was_told_of_is_taken(ros):
    node, heard = Node("listener"), []
    node.create_subscription(Int32, "numbers", lambda m: heard.append(m.data), qos.RELIABLE)
    publisher = node.create_publisher(Int32, "numbers", qos.RELIABLE)
    sweep = Sweep(node)
    for number in range(5):
        publisher.publish(Int32(data=number))
    end = time.monotonic() + 10.0
    while len(heard) < 5 and time.monotonic() < end:
        sweep.look()  # no executor has been told of anything
        time.sleep(0.01)
    assert (heard, sweep.found) == ([0, 1, 2, 3, 4], 5)
    node.destroy_node()


def test_beside_the_executor_each_message_comes_once_and_in_order(ros):
    node, heard = Node("listener"), []
    node.create_subscription(Int32, "numbers", lambda m: heard.append(m.data), qos.RELIABLE)
    publisher = node.create_publisher(Int32, "numbers", qos.RELIABLE)
    sweep = Sweep(node)
    node.create_timer(0.002, sweep.look)
    executor = Executor()
    executor.add_node(node)
    done = rclpy.task.Future()

    def send():
        for number in range(2000):
            publisher.publish(Int32(data=number))
            time.sleep(0.0005)
        time.sleep(1.0)
        executor.create_task(lambda: done.set_result(None))

    thread = threading.Thread(target=send)
    thread.start()
    executor.spin_until_future_complete(done, 60.0)
    thread.join()
    executor.shutdown()
    node.destroy_node()
    assert heard == sorted(set(heard))
    assert heard[-1] == 1999
    assert len(heard) > 1900  # depth 100: a busy machine may lose some
    assert sweep.found > 0


def test_a_subscription_that_a_callback_destroys_is_left_out(ros):
    node, heard = Node("listener"), []

    def hear(message):
        heard.append(message.data)
        node.destroy_subscription(second)

    node.create_subscription(Int32, "numbers", hear, qos.RELIABLE)
    second = node.create_subscription(Int32, "numbers", heard.append, qos.RELIABLE)
    publisher = node.create_publisher(Int32, "numbers", qos.RELIABLE)
    sweep = Sweep(node)
    publisher.publish(Int32(data=7))
    end = time.monotonic() + 10.0
    while not heard and time.monotonic() < end:
        sweep.look()
        time.sleep(0.01)
    assert heard == [7]
    node.destroy_node()
