# SPDX-License-Identifier: Apache-2.0
"""Forecast node: answers each VlaSignals with a FailureForecast."""

import os
import sys
import time
from functools import partial
from pathlib import Path

import torch
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from rclpy.time import Time
from salus_msgs.msg import (
    EpisodeSetup,
    EpisodeStatus,
    FailureForecast,
    ForecastInfo,
    Intervention,
    SignalInfo,
    VlaSignals,
)
from salus_msgs.srv import LoadCheckpoint
from sensor_msgs.msg import JointState

from salus_core.episode_store import FORECAST_STATUS_NAMES
from salus_core.messages import (
    JOINT_STATES,
    TOOL_POSE,
    BodyNames,
    Episode,
    EpisodeTracker,
    Matched,
    Synchroniser,
    check_lengths,
    nanoseconds,
)
from salus_core.predictors.model import NeuralPredictor
from salus_core.supervision import OTHER_CLOCK, WATCHDOG, Standstill, stale
from salus_predictor_node.adaptation import Adaptation, AdaptationError
from salus_predictor_node.checkpoints import (
    CheckpointError,
    fill_forecast,
    info_message,
    open_checkpoint,
    source_of,
)
from salus_predictor_node.forecaster import Forecaster, UnusableSignalsError
from salus_predictor_node.parameters import PredictorParameters
from salus_ros.diagnostics import WARN
from salus_ros.latched import wait_for_latched
from salus_ros.managed_node import ConfigureError, ManagedNode, run, when_active
from salus_ros.qos import LATCHED, RELIABLE, body

THROTTLE = 2.0
"""Least time between two log messages of the same kind [s]."""


class PredictorNode(ManagedNode):
    """Managed node `predictor`.

    Without a checkpoint every forecast says so (STATUS_NO_CHECKPOINT) and carries no numbers. A
    forecast takes well below a millisecond, so it is made in the executor's thread.
    """

    parameters_type = PredictorParameters

    def __init__(self, **kwargs):
        super().__init__("predictor", **kwargs)

    def configure(self) -> None:
        """Open the checkpoint, compare it with the policy, connect.

        Raises:
            ConfigureError: the checkpoint cannot be opened or does not fit the policy.
        """
        torch.set_num_threads(self.parameters.threads)
        self._tracker = EpisodeTracker(on_restart=self._say_restart)
        self._episode: Episode | None = None
        self._last: VlaSignals | None = None
        self._arrived: Time | None = None
        self._info: SignalInfo | None = None
        self._forecaster: Forecaster | None = None
        self._names = BodyNames(())
        self._sync = self._synchroniser()
        self._adaptation: Adaptation | None = None
        self._mismatch = ""
        self._lockstep = False
        self._standstill = Standstill()
        if self.parameters.checkpoint:
            try:
                predictor = open_checkpoint(self.parameters.checkpoint)
            except CheckpointError as error:
                raise ConfigureError(str(error)) from error
            wait = self.parameters.info_wait
            self._info = wait_for_latched(self, SignalInfo, "signal_info", wait)
            mismatch = self._compare(predictor)
            if mismatch:
                raise ConfigureError(mismatch)
            self._use(predictor, self.parameters.checkpoint)
        else:
            self.diagnostics.set("checkpoint", "none")
        self._forecasts = self.create_lifecycle_publisher(
            FailureForecast, "failure_forecast", RELIABLE
        )
        self._infos = self.create_lifecycle_publisher(ForecastInfo, "forecast_info", LATCHED)
        subscribe = self.create_subscription
        subscribe(VlaSignals, "vla_signals", self._on_signals, RELIABLE)
        subscribe(SignalInfo, "signal_info", self._on_info, LATCHED)
        subscribe(EpisodeStatus, "episode", self._on_episode, LATCHED)
        subscribe(Intervention, "intervention", self._on_intervention, RELIABLE)
        subscribe(EpisodeSetup, "episode_setup", self._on_setup, LATCHED)
        profile = body(self.parameters.body_reliability)
        for topic, kind in ((JOINT_STATES, JointState), (TOOL_POSE, PoseStamped)):
            subscribe(kind, topic, partial(self._on_body, topic), profile)
        self.create_service(LoadCheckpoint, "~/load_checkpoint", self._on_load_checkpoint)
        self.create_timer(0.1, self._on_tick)
        self.create_timer(0.02, self._on_beat, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def activate(self) -> None:
        """Say what forecasts will mean."""
        self._episode = self._last = self._arrived = None
        self._sync.clear()
        if self._forecaster is not None:
            # What came while the node was inactive is not known.
            self._forecaster = Forecaster(self._forecaster.predictor)
        self._announce()

    def cleanup(self) -> None:
        """Release the weights."""
        self._forecaster = None

    def _use(self, predictor: NeuralPredictor, name: str) -> None:
        try:
            names = BodyNames(predictor.layout.proprioception_names)
        except ValueError as error:
            raise ConfigureError(f"predictor checkpoint '{name}': {error}") from error
        adaptation = self._adapted(predictor)
        self._sync.finish()
        self._forecaster = Forecaster(predictor)
        self._names = names
        self._sync = self._synchroniser()
        self._name = name
        self._adaptation = adaptation
        self.diagnostics.set("checkpoint", name)
        self.diagnostics.set("model hash", predictor.hash)

    def _adapted(self, predictor: NeuralPredictor) -> Adaptation | None:
        """What follows the outcomes; None: the predictor gives no alarm."""
        if predictor.band is None:
            return None
        home = Path(os.environ.get("ROS_HOME") or Path.home() / ".ros")
        folder = Path(self.parameters.adapt_folder or home / "salus")
        try:
            return Adaptation(predictor, self.parameters.adapt, folder)
        except AdaptationError as error:
            raise ConfigureError(str(error)) from error

    def _synchroniser(self) -> Synchroniser:
        self._inputs = {one.name for one in self._names.inputs()}
        return Synchroniser(
            self._names.inputs(),
            self._on_matched,
            self.parameters.stamp_tolerance,
            self.parameters.input_wait,
            on_restart=self._say_restart,
        )

    def _say_restart(self, sentence: str) -> None:
        self.get_logger().warning(sentence, throttle_duration_sec=THROTTLE)

    def _announce(self) -> None:
        predictor = None if self._forecaster is None else self._forecaster.predictor
        name = "" if predictor is None else self._name
        promised = 0.0 if self._adaptation is None else self._adaptation.adaptive.promised
        stamp = self.get_clock().now().to_msg()
        self._infos.publish(info_message(predictor, name, promised, stamp))
        if predictor is None:
            self.get_logger().info("no checkpoint: forecasts will carry no numbers")
            return
        alarm = "no alarm"
        if predictor.band is not None:
            alarm = f"false-alarm rate {promised:g}"
        self.get_logger().info(
            f"predictor '{predictor.name}' from {name} ({predictor.parameters} parameters, "
            f"{alarm}, hash {predictor.hash[:12]})"
        )

    def _compare(self, predictor: NeuralPredictor) -> str:
        """How a predictor differs from the policy that is known; empty: it does not."""
        if self._info is None:
            return ""
        found = predictor.source.differences(source_of(self._info, predictor), predictor.layout)
        if not found:
            return ""
        return (
            f"predictor '{predictor.name}' does not fit the policy '{self._info.policy}': "
            f"{'; '.join(found)}; train one on runs of this policy, or load the other policy"
        )

    def _on_info(self, info: SignalInfo) -> None:
        self._info = info
        if self._forecaster is not None:
            self._judge_match(self._compare(self._forecaster.predictor))

    def _judge_match(self, mismatch: str) -> None:
        self._mismatch = mismatch
        self.diagnostics.problem(mismatch)
        if mismatch:
            self.get_logger().error(f"no forecasts: {mismatch}")

    def _on_setup(self, setup: EpisodeSetup) -> None:
        self._lockstep = setup.lockstep

    def _on_beat(self) -> None:
        self._standstill.beat(time.monotonic())

    def _stale(self, signals: VlaSignals) -> str:
        """Why a forecast of these signals comes too late; empty: it does not."""
        period = 0.0 if self._info is None else self._info.control_period
        if self._lockstep or not 0.0 < period < 10.0:
            return ""  # a world in lockstep waits; without a period nobody knows what is late
        clock, limit = self.get_clock(), self.parameters.max_signal_age * period
        now, stamp = clock.now().nanoseconds, nanoseconds(signals.header.stamp)
        other = abs(now - stamp) > OTHER_CLOCK
        self.diagnostics.problem(
            "stamps of vla_signals are of another clock than this node's: late ones are not noticed"
            if other
            else "",
            "clock",
            WARN,
        )
        if other:
            return ""
        doubt = self._standstill.reason(time.monotonic()) if clock.ros_time_is_active else ""
        return doubt or stale(stamp, now, limit, period)

    def _on_episode(self, status: EpisodeStatus) -> None:
        episode = self._tracker.status(status)
        adaptation = self._adaptation
        if adaptation is None or not episode.ended:
            return
        try:
            adaptation.mode(self.parameters.adapt)
            said = adaptation.ended(episode.position, status.state)
        except (AdaptationError, OSError) as error:
            self._judge(f"the adapted alarm rate is not kept: {error}")
            return
        self._judge("")
        if said:
            self.get_logger().warning(said)
        if self.parameters.adapt != "never":
            self.diagnostics.problem(adaptation.warning(), "alarm", WARN)
            for key, value in adaptation.told().items():
                self.diagnostics.set(key, value)

    def _judge(self, problem: str) -> None:
        self.diagnostics.problem(problem, "adapted alarm rate")
        if problem:
            self.get_logger().error(problem, throttle_duration_sec=THROTTLE)

    def _on_intervention(self, intervention: Intervention) -> None:
        running = self._episode
        decided = intervention.kind != Intervention.KIND_PASS
        if self._adaptation is None or running is None or running.number != intervention.episode:
            return
        if decided and not intervention.reason.startswith(WATCHDOG):
            self._adaptation.intervened(running.position)

    @when_active
    def _on_body(self, topic: str, message: JointState | PoseStamped) -> None:
        if topic in self._inputs:
            self._sync.add(topic, message, time.monotonic())

    @when_active
    def _on_signals(self, signals: VlaSignals) -> None:
        episode = self._tracker.step("vla_signals", signals)
        self._sync.tolerance = self.parameters.stamp_tolerance
        self._sync.wait = self.parameters.input_wait
        key = (episode.position, signals.step)
        arrived = self.get_clock().now()
        # Before the answer, which may come from within.
        before = self._episode, self._last, self._arrived
        self._episode, self._last, self._arrived = episode, signals, arrived
        if not self._sync.add_anchor(signals, time.monotonic(), key, episode.position):
            self._episode, self._last, self._arrived = before

    def _on_matched(self, matched: Matched) -> None:
        """Answer signals: in their order, once the body's state is there or given up."""
        signals, (position, _) = matched.anchor, matched.key
        forecast = FailureForecast(
            header=signals.header, episode=signals.episode, step=signals.step
        )
        forecast.status = FailureForecast.STATUS_NO_CHECKPOINT
        if self._forecaster is not None:
            self._forecast(forecast, signals, position, matched)
        forecast.latency = time.monotonic() - matched.arrival
        self._forecasts.publish(forecast)
        self.diagnostics.count(forecast.latency)

    def _forecast(
        self, forecast: FailureForecast, signals: VlaSignals, position: int, matched: Matched
    ) -> None:
        forecast.status = FailureForecast.STATUS_INVALID_INPUT
        for name, counts in self._sync.counts.items():
            if counts.missing:
                total = counts.missing + counts.matched
                self.diagnostics.set(
                    f"missing {name}", f"{counts.missing} of {total}: {counts.reason}"
                )
        if self._mismatch:
            return
        forecaster = self._forecaster
        problem = "" if self._info is None else check_lengths(signals, self._info)
        if problem:
            # Nothing of a message whose numbers may be others than they seem is used.
            self._refuse(signals, problem)
            return
        body_state = self._names.values(matched.values) if matched.complete else None
        try:
            found = forecaster.update(signals, body_state, position)
        except UnusableSignalsError as error:
            lacks = "; ".join(f"{name}: {reason}" for name, reason in matched.missing.items())
            self._refuse(signals, lacks or str(error))
            return
        problem = self._stale(signals)
        if problem:
            # The predictor's memory has them, but nobody may act on what it says of them.
            forecast.status = FailureForecast.STATUS_STALE_INPUT
            self._refuse(signals, problem)
            return
        if self._adaptation is not None:
            self._adaptation.forecast(position, signals.step, found)
        fill_forecast(forecast, found, forecaster.predictor)
        forecast.status = FORECAST_STATUS_NAMES.index(found.status)
        self.diagnostics.set("missed steps", forecaster.missed)
        if forecaster.drift is not None:
            self.diagnostics.set("drifted signals", ", ".join(forecaster.drift.drifted) or "none")
            self.diagnostics.set("unusual values", f"{forecaster.drift.outside:.3f}")

    def _refuse(self, signals: VlaSignals, problem: str) -> None:
        self.diagnostics.drop()
        self.get_logger().warning(
            f"no forecast for episode {signals.episode} step {signals.step}: {problem}",
            throttle_duration_sec=THROTTLE,
        )

    @when_active
    def _on_tick(self) -> None:
        self._sync.tick(time.monotonic())
        self._report_stale()

    def _report_stale(self) -> None:
        """Say once that the signals of a running episode have stopped."""
        limit = self.parameters.stale_after
        if self._forecaster is None or self._last is None or limit == 0.0:
            return
        last = self._last
        if self._episode.ended or self._episode is not self._tracker.episodes[-1]:
            return
        now = self.get_clock().now()
        if (now - self._arrived).nanoseconds < 1e9 * limit:
            return
        self._sync.finish()  # the body's state of the last signals never came
        forecast = FailureForecast(header=last.header, episode=last.episode, step=last.step)
        forecast.header.stamp = now.to_msg()
        forecast.status = FailureForecast.STATUS_STALE_INPUT
        self._forecasts.publish(forecast)
        self.diagnostics.drop()
        self.get_logger().warning(
            f"no signals since step {last.step} of episode {last.episode}, "
            f"{(now - self._arrived).nanoseconds * 1e-9:.1f} s ago"
        )
        self._last = None

    def _on_load_checkpoint(
        self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response
    ) -> LoadCheckpoint.Response:
        try:
            given = [folder for folder in self.parameters.checkpoint_folders if folder]
            if not given and self.parameters.checkpoint:
                given = [str(Path(self.parameters.checkpoint).absolute().parent)]
            predictor = open_checkpoint(request.checkpoint, given)
            mismatch = self._compare(predictor)
            if mismatch:
                raise CheckpointError(mismatch)
            self._use(predictor, request.checkpoint)
        except (CheckpointError, ConfigureError) as error:
            used = "none" if self._forecaster is None else f"'{self._name}'"
            response.message = f"{error}; in use stays {used}"
            self.get_logger().error(response.message)
        else:
            self._judge_match("")
            if self.is_active:
                self._announce()
            response.success = True
        if self._forecaster is not None:
            response.hash = self._forecaster.predictor.hash
        return response


def main(args: list[str] | None = None) -> int:
    """Run the predictor."""
    return run(PredictorNode, args)


if __name__ == "__main__":
    sys.exit(main())
