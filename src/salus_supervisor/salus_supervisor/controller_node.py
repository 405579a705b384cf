# SPDX-License-Identifier: Apache-2.0
"""Sends commands to controllers that know standard messages: MoveIt Servo, ros2_control.

Takes `command` and, latched, `signal_info`; gives `controller_command` in the type that the
parameter `output` names, and `gripper_command` (std_msgs/Float64MultiArray). Where no fresh command
comes it stops the robot and says so.
"""

import sys
import time
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from salus_msgs.msg import ActionCommand, SignalInfo
from std_msgs.msg import Float64MultiArray, Header

from salus_core.actions import ActionError, ActionSpec
from salus_core.messages import nanoseconds
from salus_core.supervision import stale
from salus_ros import qos
from salus_ros.diagnostics import Diagnostics, DiagnosticsParameters
from salus_ros.managed_node import run
from salus_ros.parameters import declare, parameter
from salus_supervisor.controller_messages import OUTPUTS, TYPES, Converter, Limits

TICK = 0.005
"""Time between two looks at the clock [s]."""


@dataclass
class ControllerParameters(DiagnosticsParameters):
    """Parameters of the node that talks to controllers."""

    output: str = parameter(
        "twist",
        "What the controller takes: 'twist' (geometry_msgs/TwistStamped: MoveIt Servo), "
        "'positions' or 'velocities' (std_msgs/Float64MultiArray: forward command controllers), "
        "'trajectory' (trajectory_msgs/JointTrajectory: joint trajectory controllers).",
        choices=OUTPUTS,
        read_only=True,
    )
    frame_id: str = parameter("", "Frame of the twist; empty: that of the command.", read_only=True)
    max_command_age: float = parameter(
        0.25,
        "Commands whose observation is older are not passed on [s].",
        minimum=0.01,
        maximum=10.0,
    )
    timeout: float = parameter(
        2.5,
        "Stop once no command has been passed on for so long, in control periods.",
        minimum=1.0,
        maximum=100.0,
    )
    max_linear: float = parameter(
        0.0, "Largest velocity of the tool [m/s]; 0: no limit.", minimum=0.0
    )
    max_angular: float = parameter(
        0.0, "Largest angular velocity of the tool [rad/s]; 0: no limit.", minimum=0.0
    )
    max_joint: float = parameter(
        0.0, "Largest velocity of a joint [rad/s, m/s]; 0: no limit.", minimum=0.0
    )
    gripper_closed: float = parameter(
        0.0, "Position of the gripper's joint when closed [rad, m].", read_only=True
    )
    gripper_open: float = parameter(
        1.0, "Position of the gripper's joint when open [rad, m].", read_only=True
    )


class ControllerNode(Node):
    """See the module."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("controller", **kwargs)
        self._given = declare(self, ControllerParameters)
        self._converter: Converter | None = None
        self._period = 0.0
        self._newest = 0
        self._passed_at: float | None = None
        self._stopped_since: float | None = None
        self._frame = ""
        self._diagnostics = Diagnostics(self, self._given)
        self._output = self.create_publisher(
            TYPES[self._given.output], "controller_command", qos.EXPIRING
        )
        self._gripper = self.create_publisher(Float64MultiArray, "gripper_command", qos.EXPIRING)
        self.create_subscription(SignalInfo, "signal_info", self._on_info, qos.LATCHED)
        self.create_subscription(ActionCommand, "command", self._on_command, qos.NEWEST)
        # By the machine's clock: that of a simulation may stand still.
        self.create_timer(TICK, self._on_tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _on_info(self, info: SignalInfo) -> None:
        given, self._converter = self._given, None
        limits = Limits(given.max_linear, given.max_angular, given.max_joint)
        try:
            spec = ActionSpec.of(info.action_names, info.action_units, info.action_kinds)
            if not 0.0 < info.control_period < 10.0:
                raise ActionError(f"signal_info gives control_period {info.control_period} s")
            self._converter = Converter(
                given.output,
                spec,
                float(info.control_period),
                limits,
                (given.gripper_closed, given.gripper_open),
            )
        except ActionError as error:
            self._stop(f"nothing is passed on: {error}")
            return
        self._period = float(info.control_period)
        self._diagnostics.problem("")

    def _on_command(self, command: ActionCommand) -> None:
        problem = self._refusal(command)
        if problem:
            self._ignore(f"the command of step {command.step}: {problem}")
            return
        header = Header(
            stamp=self.get_clock().now().to_msg(),
            frame_id=self._given.frame_id or command.header.frame_id,
        )
        assert self._converter is not None  # or it would have been refused
        try:
            message, changed = self._converter.message(command.action, header)
            gripper = self._converter.gripper(command.action)
        except ActionError as error:
            self._ignore(f"the command of step {command.step}: {error}")
            return
        self._newest, self._frame = nanoseconds(command.header.stamp), header.frame_id
        self._output.publish(message)
        if gripper is not None:
            self._gripper.publish(gripper)
        if changed:
            self.get_logger().warning(changed, throttle_duration_sec=1.0)
        if self._stopped_since is not None:
            lasted = time.monotonic() - self._stopped_since
            self.get_logger().info(f"commands are fresh again after {lasted:.2f} s")
        self._passed_at, self._stopped_since = time.monotonic(), None
        self._diagnostics.problem("")
        self._diagnostics.count()

    def _refusal(self, command: ActionCommand) -> str:
        if self._converter is None:
            return "nobody has said in signal_info what its numbers are"
        stamp, now = nanoseconds(command.header.stamp), self.get_clock().now().nanoseconds
        if self._newest <= now and stamp < self._newest:
            return "its observation is older than that of the last one"
        return stale(stamp, now, self._given.max_command_age, self._period)

    def _on_tick(self) -> None:
        if self._passed_at is None:
            return
        silent = time.monotonic() - self._passed_at
        if silent > self._given.timeout * self._period:
            self._stop(f"stopping the robot: no fresh command for {silent:.3f} s")

    def _stop(self, reason: str) -> None:
        """Stop a robot that was being moved; said once, in diagnostics as long as it lasts."""
        self._diagnostics.problem(reason)
        if self._passed_at is None:
            self.get_logger().error(reason, throttle_duration_sec=5.0)
            return
        self._passed_at, self._stopped_since = None, time.monotonic()
        self.get_logger().error(reason)
        if self._converter is not None:
            header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._frame)
            message = self._converter.stop(header)
            if message is not None:
                self._output.publish(message)

    def _ignore(self, what: str) -> None:
        self._diagnostics.drop()
        self.get_logger().warning(f"ignoring {what}", throttle_duration_sec=1.0)


def main() -> int:
    """Run the node."""
    return run(ControllerNode)


if __name__ == "__main__":
    sys.exit(main())
