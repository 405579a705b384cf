# SPDX-License-Identifier: Apache-2.0
"""Supervisor node: turns each proposed action into the one command of its step."""

import math
import sys
import time
from array import array
from dataclasses import dataclass
from typing import Any

from rclpy.subscription import Subscription
from salus_msgs.msg import (
    ActionCommand,
    EpisodeStatus,
    FailureForecast,
    Intervention,
    SignalInfo,
    VlaSignals,
)
from sensor_msgs.msg import JointState

from salus_core.actions import MAX_ACTIONS, ActionError, ActionKind, ActionSpec
from salus_core.supervision import LimitCheck, Limits
from salus_ros import qos
from salus_ros.managed_node import ManagedNode, ManagedParameters, run, when_active
from salus_ros.parameters import parameter
from salus_ros.qos import LATCHED, RELIABLE
from salus_ros.stepsync import nanoseconds


@dataclass
class SupervisorParameters(ManagedParameters):
    """Parameters of the supervisor."""

    mode: str = parameter(
        "pass",
        "What forecasts lead to; 'pass': nothing, every sane action is passed on.",
        choices=("pass",),
        read_only=True,
    )
    episode_source: str = parameter(
        "topic",
        "'topic': only steps of the running episode are answered, as the topic episode tells. "
        "'signals': for robots whose episodes nobody judges, every new step is answered.",
        choices=("topic", "signals"),
        read_only=True,
    )
    max_translation: float = parameter(
        0.05,
        "Hold instead of executing a translation larger than this within one control period [m].",
        minimum=0.0,
    )
    max_rotation: float = parameter(
        0.3,
        "Hold instead of executing a rotation larger than this within one control period [rad].",
        minimum=0.0,
    )
    max_joint_step: float = parameter(
        0.2,
        "Hold instead of moving a joint's target further than this within one control period "
        "[rad, m].",
        minimum=0.0,
    )
    max_joint_velocity: float = parameter(
        2.0, "Hold instead of executing a joint velocity above this [rad/s, m/s].", minimum=0.0
    )
    max_base_velocity: float = parameter(
        1.0, "Hold instead of executing a base velocity above this [m/s, rad/s].", minimum=0.0
    )
    max_joint_age: float = parameter(
        0.5,
        "With joint positions as actions: age by the wall clock up to which measured positions are "
        "what is held before anything was commanded [s].",
        minimum=0.0,
    )


class SupervisorNode(ManagedNode):
    """Sends one ActionCommand and one Intervention for each step of the running episode.

    Signals can come before signal_info, which says what their numbers are, or before the status of
    their episode: those wait (one of them is enough, as the policy waits for the command). What
    belongs to a past step or episode is ignored with a warning. An action that is not as long as
    signal_info says, not finite or beyond the limits is not executed: the robot is held, or, where
    nobody knows where, nothing is sent.
    """

    parameters_type = SupervisorParameters

    def __init__(self, **kwargs: Any):
        self._check: LimitCheck | None = None
        super().__init__("supervisor", **kwargs)
        self._forget()

    def _forget(self) -> None:
        self._status: EpisodeStatus | None = None
        self._waiting: VlaSignals | None = None
        self._answered: VlaSignals | None = None
        self._announced = False
        if self._check is not None:
            self._check.reset()

    def _limits(self) -> Limits:
        given = self.parameters
        return Limits(
            translation=given.max_translation,
            rotation=given.max_rotation,
            joint_step=given.max_joint_step,
            joint_velocity=given.max_joint_velocity,
            base_velocity=given.max_base_velocity,
        )

    def configure(self) -> None:
        """Connect."""
        self._check = None
        self._joints: Subscription | None = None
        self._positions: dict[str, tuple[float, float]] = {}
        self._commands = self.create_lifecycle_publisher(ActionCommand, "command", RELIABLE)
        self._interventions = self.create_lifecycle_publisher(
            Intervention, "intervention", RELIABLE
        )
        self.create_subscription(SignalInfo, "signal_info", self._on_info, LATCHED)
        self.create_subscription(VlaSignals, "vla_signals", self._on_signals, RELIABLE)
        if self.parameters.episode_source == "topic":
            self.create_subscription(EpisodeStatus, "episode", self._on_episode, LATCHED)
        self.create_subscription(FailureForecast, "failure_forecast", self._on_forecast, RELIABLE)

    def deactivate(self) -> None:
        """Forget the episode: after the next activation nothing is known about it."""
        self._forget()

    def _on_info(self, info: SignalInfo) -> None:
        # Not gated: it is latched, and a node that is activated later must know it.
        try:
            spec = ActionSpec.of(
                info.action_names, info.action_units, info.action_kinds, info.action_scale
            )
        except ActionError as error:
            self._check = None
            self._tell(f"signal_info: {error}; nothing is executed")
            return
        if self._check is None or self._check.spec != spec:
            self._check = LimitCheck(spec, self._limits())
            self._measure(bool(spec.indices(ActionKind.JOINT_POSITION)))
        self._announced = True
        self.diagnostics.problem("")
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._on_signals(waiting)

    def _measure(self, wanted: bool) -> None:
        """Listen to the joints only if their positions are what holds the robot."""
        if wanted and self._joints is None:
            self._joints = self.create_subscription(
                JointState, "joint_states", self._on_joints, qos.body()
            )
        elif not wanted and self._joints is not None:
            self.destroy_subscription(self._joints)
            self._joints = None
            self._positions = {}

    def _on_joints(self, joints: JointState) -> None:
        if len(joints.position) != len(joints.name):
            self._ignore(
                f"joint_states: {len(joints.name)} joints are named, but {len(joints.position)} "
                "positions are given"
            )
            return
        now = time.monotonic()
        wanted = set(self._check.spec.names) if self._check is not None else set()
        for name, position in zip(joints.name, joints.position, strict=True):
            if name in wanted and math.isfinite(position):
                self._positions[name] = (position, now)

    def _measured(self) -> list[float | None]:
        """Where the joints are, as far as that is known and not too old."""
        oldest = time.monotonic() - self.parameters.max_joint_age
        found = (self._positions.get(name, (0.0, -math.inf)) for name in self._check.spec.names)
        return [position if since >= oldest else None for position, since in found]

    @when_active
    def _on_episode(self, status: EpisodeStatus) -> None:
        known = self._status
        running = EpisodeStatus.STATE_RUNNING
        if known is None or status.episode != known.episode:
            self._begin(status)
        elif status.state == running and (
            known.state != running
            or nanoseconds(status.header.stamp) < nanoseconds(known.header.stamp)
        ):
            self.get_logger().info(
                f"episode {status.episode} begins again: the world was restarted"
            )
            self._begin(status)
        self._status = status
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._on_signals(waiting)

    def _begin(self, status: EpisodeStatus) -> None:
        """Nothing of an episode before has been answered or commanded in this one."""
        self._status = status
        self._answered = None
        if self._check is not None:
            self._check.reset()

    @when_active
    def _on_forecast(self, forecast: FailureForecast) -> None:
        # Passing through acts on no forecast, but an alarm is still worth a line in the report.
        self.diagnostics.set("alarm", forecast.alarm)

    @when_active
    def _on_signals(self, signals: VlaSignals) -> None:
        arrival = time.monotonic()
        if self._check is None:
            self._waiting = signals
            self._tell(
                "vla_signals came before signal_info, which says what its numbers are: "
                "nothing is executed until that comes"
            )
            return
        if self.parameters.episode_source == "signals" and self._begins(signals):
            self._begin(EpisodeStatus(episode=signals.episode))
        status, answered = self._status, self._answered
        # A world that was started anew counts its episodes from the beginning, too: its status may
        # be on its way.
        ahead = status is None or signals.episode > status.episode
        if ahead or (signals.episode < status.episode and signals.step == 0):
            self._waiting = signals
            return
        if signals.episode < status.episode:
            self._ignore(f"signals of episode {signals.episode}: {status.episode} is current")
            return
        if status.state != EpisodeStatus.STATE_RUNNING and signals.step >= status.step:
            return  # the last observation of an episode is inferred on while the referee ends it
        if answered is not None and signals.step <= answered.step:
            if signals.step == 0 < answered.step and _later(signals, answered):
                self.get_logger().info(f"episode {signals.episode} begins again at step 0")
                self._begin(status)
            else:
                if signals.step < answered.step:
                    self._ignore(f"signals of step {signals.step}: {answered.step} is answered")
                return
        self._answered, self._announced = signals, False
        self._answer(signals)
        self.diagnostics.count(time.monotonic() - arrival)

    def _begins(self, signals: VlaSignals) -> bool:
        """Without a referee: whether these are the first signals of an episode.

        A policy that was started anew counts from the beginning again, and announces itself.
        """
        status, answered = self._status, self._answered
        if status is None or signals.episode > status.episode:
            return True
        if answered is None or signals.header.stamp == answered.header.stamp:
            return False
        before = (signals.episode, signals.step) <= (answered.episode, answered.step)
        if not before or not (signals.step == 0 or self._announced):
            return False
        self.get_logger().info(
            f"episode {signals.episode} begins again at step {signals.step}: the policy was "
            "restarted"
        )
        return True

    def _answer(self, signals: VlaSignals) -> None:
        self._check.limits = self._limits()
        self._check.measured(self._measured())
        decision = self._check.check(signals.action)
        reason = decision.reason
        if not decision.action:
            unknown = ", ".join(self._check.unknown())
            reason += f"; nothing is sent, as it is not known where to hold {unknown}"
        executed = array("d", decision.action)
        moment = {"header": signals.header, "episode": signals.episode, "step": signals.step}
        if decision.action:
            self._commands.publish(ActionCommand(**moment, action=executed))
        # What is longer than any message may be cannot be sent on; the reason gives its length.
        fits = len(signals.action) <= MAX_ACTIONS
        self._interventions.publish(
            Intervention(
                **moment,
                kind=Intervention.KIND_HOLD if reason else Intervention.KIND_PASS,
                reason=reason,
                proposed=signals.action if fits else array("d"),
                executed=executed,
            )
        )
        wrong = len(signals.action) != self._check.spec.size
        self.diagnostics.problem(reason if wrong or not decision.action else "")
        if reason:
            self.get_logger().warning(
                f"holding at step {signals.step}: {reason}", throttle_duration_sec=1.0
            )

    def _tell(self, problem: str) -> None:
        self.diagnostics.problem(problem)
        self.get_logger().error(problem, throttle_duration_sec=5.0)

    def _ignore(self, what: str) -> None:
        self.diagnostics.drop()
        self.get_logger().warning(f"ignoring {what}", throttle_duration_sec=1.0)


def _later(one: VlaSignals, other: VlaSignals) -> bool:
    return nanoseconds(one.header.stamp) > nanoseconds(other.header.stamp)


def main(args: list[str] | None = None) -> int:
    """Run the supervisor."""
    return run(SupervisorNode, args)


if __name__ == "__main__":
    sys.exit(main())
