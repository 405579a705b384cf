# SPDX-License-Identifier: Apache-2.0
"""A running supervisor with everything around it played by the test."""

import time

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from oversized import any_action
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from salus_msgs.msg import (
    ActionCommand,
    EpisodeSetup,
    EpisodeStatus,
    FailureForecast,
    Intervention,
    SignalInfo,
    VlaSignals,
)
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from salus_core.actions import TOOL_MOTION
from salus_ros.qos import LATCHED, RELIABLE
from salus_supervisor.supervisor_node import SupervisorNode

ACTION = [0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


class Rig:
    """A running supervisor with everything around it played by the test."""

    def __init__(self, spec=TOOL_MOTION, period=1 / 30, lockstep=True, **overrides):
        self.period, self.lockstep = period, lockstep
        self.handled = 0
        given = [Parameter(name, value=value) for name, value in overrides.items()]
        self.supervisor = SupervisorNode(parameter_overrides=given)
        assert self.supervisor.start()
        self._count_what_is_handled()
        self.node = Node("rig")
        self.commands, self.interventions = [], []
        self.node.create_subscription(ActionCommand, "command", self.commands.append, RELIABLE)
        self.node.create_subscription(
            Intervention, "intervention", self.interventions.append, RELIABLE
        )
        self.signals = self.node.create_publisher(VlaSignals, "vla_signals", RELIABLE)
        self.episode = self.node.create_publisher(EpisodeStatus, "episode", LATCHED)
        self.setup = self.node.create_publisher(EpisodeSetup, "episode_setup", LATCHED)
        if lockstep is not None:
            self.setup.publish(EpisodeSetup(lockstep=lockstep))
        self.forecasts = self.node.create_publisher(FailureForecast, "failure_forecast", RELIABLE)
        self.info = self.node.create_publisher(SignalInfo, "signal_info", LATCHED)
        self.joints = self.node.create_publisher(
            JointState, "joint_states", qos_profile_sensor_data
        )
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.supervisor)
        self.executor.add_node(self.node)
        self.until(
            lambda: self.signals.get_subscription_count() and self.node.count_publishers("command")
        )
        by_topic = self.supervisor.parameters.episode_source == "topic"
        self.until(lambda: self.supervisor._lockstep == bool(lockstep and by_topic))
        if spec is not None:
            self.announce(spec)

    def _count_what_is_handled(self):
        (subscription,) = (
            one for one in self.supervisor.subscriptions if one.topic_name == "/vla_signals"
        )
        callback = subscription.callback

        def counted(message):
            callback(message)
            self.handled += 1

        subscription.callback = counted

    def announce(self, spec):
        self.described = SignalInfo(
            action_names=list(spec.names),
            action_units=list(spec.units),
            action_kinds=[str(kind) for kind in spec.kinds],
            control_period=self.period,
        )
        self.info.publish(self.described)
        self.until(
            lambda: self.supervisor._check is not None and self.supervisor._check.spec == spec
        )

    def measure(self, positions):
        self.until(lambda: self.joints.get_subscription_count())
        self.joints.publish(JointState(name=list(positions), position=list(positions.values())))
        named = set(positions) & set(self.supervisor._check.spec.names)
        self.until(lambda: named <= set(self.supervisor._joints._positions))

    def status(self):
        status = self.supervisor.diagnostics.status()
        return {b"\0": "ok", b"\1": "warn"}.get(status.level, "error"), status.message

    def problem(self):
        status = self.supervisor.diagnostics.status()
        return status.message if status.level == DiagnosticStatus.ERROR else ""

    def until(self, condition, seconds=5.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            self.executor.spin_once(timeout_sec=0.02)

    def settle(self):
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def begin(self, episode, state=EpisodeStatus.STATE_RUNNING):
        self.episode.publish(EpisodeStatus(episode=episode, state=state))
        self.until(
            lambda: (
                self.supervisor._episodes.current is not None
                and (
                    self.supervisor._episodes.current.number,
                    self.supervisor._episodes.current.status.state,
                )
                == (episode, state)
            )
        )

    def propose(self, episode, step, action=ACTION, seconds=None, age=0.0, wait=True):
        """Propose, and wait until that is answered; out of lockstep of an observation of now."""
        stamp = Time(sec=1 + step if seconds is None else seconds)
        if self.lockstep is False:
            stamp = (self.node.get_clock().now() - Duration(seconds=age)).to_msg()
        header = Header(stamp=stamp, frame_id="base")
        message = VlaSignals(header=header, episode=episode, step=step)
        handled = self.handled
        self.signals.publish(any_action(message, action))
        if not wait:
            return
        self.until(lambda: self.handled > handled and self.supervisor._next is None)

    def steps(self):
        return [(command.episode, command.step) for command in self.commands]
