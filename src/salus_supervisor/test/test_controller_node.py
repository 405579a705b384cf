# SPDX-License-Identifier: Apache-2.0
"""Beside a controller that integrates what it is sent, as MoveIt Servo does."""

import os
import signal
import subprocess
import sys
import time

import pytest
from geometry_msgs.msg import TwistStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from salus_msgs.msg import ActionCommand, SignalInfo
from std_msgs.msg import Float64MultiArray

from salus_core.actions import TOOL_MOTION
from salus_ros import qos
from salus_supervisor import controller_node
from salus_supervisor.controller_node import ControllerNode

pytestmark = pytest.mark.ros
PERIOD = 1 / 30
DRIVER = """
import sys, time, rclpy
from salus_msgs.msg import ActionCommand
from salus_ros import qos
rclpy.init(args=[])
node = rclpy.create_node("driver")
commands = node.create_publisher(ActionCommand, "command", qos.EXPIRING)
print("driving", flush=True)
step = 0
while True:
    message = ActionCommand(step=step, action=[0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    message.header.stamp = node.get_clock().now().to_msg()
    commands.publish(message)
    step += 1
    time.sleep(1 / 30)
"""


class Servo:
    """A controller: it moves with the last twist until another one comes."""

    def __init__(self, **overrides):
        given = [Parameter(name, value=value) for name, value in overrides.items()]
        self.controller = ControllerNode(parameter_overrides=given)
        self.node = Node("servo")
        self.twists, self.grippers, self.ages = [], [], []
        subscribe = self.node.create_subscription
        subscribe(TwistStamped, "controller_command", self._on_twist, QoSProfile(depth=50))
        subscribe(Float64MultiArray, "gripper_command", self.grippers.append, QoSProfile(depth=50))
        self.info = self.node.create_publisher(SignalInfo, "signal_info", qos.LATCHED)
        self.commands = self.node.create_publisher(ActionCommand, "command", qos.RELIABLE)
        self.executor = SingleThreadedExecutor()
        for node in (self.controller, self.node):
            self.executor.add_node(node)

    def _on_twist(self, message, info):
        self.twists.append((info["source_timestamp"] * 1e-9, message.twist.linear.x))

    def announce(self):
        self.info.publish(
            SignalInfo(
                action_names=TOOL_MOTION.names,
                action_units=TOOL_MOTION.units,
                action_kinds=[str(kind) for kind in TOOL_MOTION.kinds],
                control_period=PERIOD,
            )
        )

    def until(self, condition, seconds=20.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            self.executor.spin_once(0.01)

    def rest(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(0.01)

    def send(self, age=0.0, action=(0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)):
        message = ActionCommand(action=action)
        now = self.node.get_clock().now().nanoseconds - round(1e9 * age)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10**9)
        self.commands.publish(message)

    def close(self):
        self.executor.shutdown()
        self.controller.destroy_node()
        self.node.destroy_node()


@pytest.fixture
def servo(ros):
    servo = Servo(gripper_closed=0.8, gripper_open=0.0)
    yield servo
    servo.close()


@pytest.fixture
def driver(servo):
    """Somebody who sends commands, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    process.stdout.readline()
    servo.announce()
    servo.until(lambda: len([v for _, v in servo.twists if v]) > 10)
    yield process
    process.kill()
    process.wait()


def moving(servo, since):
    return [when for when, value in servo.twists if value and when > since]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_robot_stops_when_commands_stop(servo, driver, number):
    assert servo.twists[-1][1] == pytest.approx(0.3)
    assert list(servo.grippers[-1].data) == [0.0]
    stopped = time.time()
    driver.send_signal(number)
    servo.until(lambda: servo.twists[-1][1] == 0.0)
    # From the last command on, of which one may still have been on its way.
    last = max(when for when, value in servo.twists if value)
    after = servo.twists[-1][0] - max(stopped, last)
    print(f"stopped after {1e3 * after:.0f} ms")  # 2.5 periods are 83; the machine may be busy
    assert after < 1.0
    assert "no fresh command for" in str(servo.controller._diagnostics._problems)
    count = len(servo.twists)
    servo.rest(0.5)
    assert len(servo.twists) == count  # said once, and nothing moves


def test_the_stop_comes_after_two_and_a_half_periods_by_the_clock(servo, monkeypatch):
    servo.announce()
    servo.until(lambda: servo.node.count_subscribers("command") == 1)
    servo.until(lambda: servo.send() or servo.controller._passed_at is not None)
    servo.executor.remove_node(servo.controller)
    passed = servo.controller._passed_at
    for after, stopped in ((0.083, False), (0.084, True)):
        monkeypatch.setattr(controller_node.time, "monotonic", lambda t=passed + after: t)
        servo.controller._on_tick()
        assert (servo.controller._stopped_since is not None) == stopped
    monkeypatch.undo()
    servo.until(lambda: servo.twists and servo.twists[-1][1] == 0.0)


def test_after_a_pause_there_is_no_burst_of_old_commands(servo, driver):
    driver.send_signal(signal.SIGSTOP)
    servo.until(lambda: servo.twists[-1][1] == 0.0)
    servo.rest(1.5)
    resumed = time.time()
    driver.send_signal(signal.SIGCONT)
    servo.until(lambda: len(moving(servo, resumed)) > 10)
    sent = moving(servo, resumed)
    assert len([when for when in sent if when < sent[0] + 0.1]) <= 6
    assert "" not in servo.controller._diagnostics._problems


def test_what_is_old_future_wrong_or_unannounced_moves_nothing(servo):
    servo.until(lambda: servo.node.count_subscribers("command") == 1)
    servo.send()
    servo.rest(0.3)
    assert servo.twists == []  # signal_info has not come
    servo.announce()
    servo.rest(0.3)
    for age in (0.5, -0.5, 1e9):
        servo.send(age)
    servo.send(action=[0.01] * 6)
    servo.send(action=[float("nan")] * 7)
    servo.rest(0.5)
    assert moving(servo, 0) == []
    servo.send()
    servo.until(lambda: moving(servo, 0))


def test_an_action_of_other_kinds_is_named(servo):
    servo.info.publish(
        SignalInfo(
            action_names=["a"],
            action_units=["rad"],
            action_kinds=["joint_position"],
            control_period=PERIOD,
        )
    )
    servo.until(
        lambda: "needs three tool_translation" in str(servo.controller._diagnostics._problems)
    )
