"""Supervisor node: turns each proposed action into the one command of its step."""

import sys
import time
from array import array
from dataclasses import dataclass
from typing import Any

from salus_msgs.msg import ActionCommand, EpisodeStatus, FailureForecast, Intervention, VlaSignals

from salus_core.actions import TOOL_MOTION
from salus_core.supervision import LimitCheck, Limits
from salus_ros.managed_node import ManagedNode, ManagedParameters, run, when_active
from salus_ros.parameters import parameter
from salus_ros.qos import LATCHED, RELIABLE


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


class SupervisorNode(ManagedNode):
    """Sends one ActionCommand and one Intervention for each step of the running episode.

    Signals can come before the status of their episode: those wait (one of them is enough, as the
    policy waits for the command). What belongs to a past step or episode is ignored with a warning.
    """

    parameters_type = SupervisorParameters

    def __init__(self, **kwargs: Any):
        super().__init__("supervisor", **kwargs)
        self._forget()

    def _forget(self) -> None:
        self._status: EpisodeStatus | None = None
        self._waiting: VlaSignals | None = None
        self._answered: int | None = None
        self._check = LimitCheck(TOOL_MOTION, self._limits())

    def _limits(self) -> Limits:
        return Limits(self.parameters.max_translation, self.parameters.max_rotation)

    def configure(self) -> None:
        """Connect."""
        self._commands = self.create_lifecycle_publisher(ActionCommand, "command", RELIABLE)
        self._interventions = self.create_lifecycle_publisher(
            Intervention, "intervention", RELIABLE
        )
        self.create_subscription(VlaSignals, "vla_signals", self._on_signals, RELIABLE)
        if self.parameters.episode_source == "topic":
            self.create_subscription(EpisodeStatus, "episode", self._on_episode, LATCHED)
        self.create_subscription(FailureForecast, "failure_forecast", self._on_forecast, RELIABLE)

    def deactivate(self) -> None:
        """Forget the episode: after the next activation nothing is known about it."""
        self._forget()

    @when_active
    def _on_episode(self, status: EpisodeStatus) -> None:
        if self._status is None or status.episode != self._status.episode:
            self._check.reset()
            self._answered = None
        self._status = status
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._on_signals(waiting)

    @when_active
    def _on_forecast(self, forecast: FailureForecast) -> None:
        # Passing through acts on no forecast, but an alarm is still worth a line in the report.
        self.diagnostics.set("alarm", forecast.alarm)

    @when_active
    def _on_signals(self, signals: VlaSignals) -> None:
        arrival = time.monotonic()
        status = self._status
        by_signals = self.parameters.episode_source == "signals"
        if by_signals and (status is None or signals.episode > status.episode):
            self._on_episode(EpisodeStatus(episode=signals.episode))
            status = self._status
        if status is None or signals.episode > status.episode:
            self._waiting = signals
            return
        if signals.episode < status.episode:
            self._ignore(f"signals of episode {signals.episode}: {status.episode} is current")
            return
        if status.state != EpisodeStatus.STATE_RUNNING and signals.step >= status.step:
            return  # the last observation of an episode is inferred on while the referee ends it
        if self._answered is not None and signals.step <= self._answered:
            if signals.step < self._answered:
                self._ignore(f"signals of step {signals.step}: {self._answered} is answered")
            return
        self._answered = signals.step
        self._answer(signals)
        self.diagnostics.count(time.monotonic() - arrival)

    def _answer(self, signals: VlaSignals) -> None:
        self._check.limits = self._limits()
        decision = self._check.check(signals.action)
        executed = array("d", decision.action)
        moment = {"header": signals.header, "episode": signals.episode, "step": signals.step}
        self._commands.publish(ActionCommand(**moment, action=executed))
        self._interventions.publish(
            Intervention(
                **moment,
                kind=Intervention.KIND_HOLD if decision.reason else Intervention.KIND_PASS,
                reason=decision.reason,
                proposed=signals.action,
                executed=executed,
            )
        )
        if decision.reason:
            self.get_logger().warning(
                f"holding at step {signals.step}: {decision.reason}", throttle_duration_sec=1.0
            )

    def _ignore(self, what: str) -> None:
        self.diagnostics.drop()
        self.get_logger().warning(f"ignoring {what}", throttle_duration_sec=1.0)


def main(args: list[str] | None = None) -> int:
    """Run the supervisor."""
    return run(SupervisorNode, args)


if __name__ == "__main__":
    sys.exit(main())
