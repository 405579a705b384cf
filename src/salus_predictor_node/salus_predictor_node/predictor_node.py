"""Forecast node: answers each VlaSignals with a FailureForecast."""

import sys
import time
from collections import deque
from functools import partial

import numpy as np
import rclpy
import torch
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.time import Time
from salus_msgs.msg import EpisodeStatus, FailureForecast, ForecastInfo, SignalInfo, VlaSignals
from salus_msgs.srv import LoadCheckpoint
from sensor_msgs.msg import JointState

from salus_core.predictors.model import NeuralPredictor
from salus_predictor_node.body import JOINT_STATES, TOOL_POSE, BodyBuffer
from salus_predictor_node.checkpoints import (
    CheckpointError,
    fill_forecast,
    info_message,
    open_checkpoint,
    source_of,
)
from salus_predictor_node.forecaster import Forecaster, UnusableSignalsError
from salus_predictor_node.parameters import PredictorParameters
from salus_ros.managed_node import ConfigureError, ManagedNode, run, when_active
from salus_ros.qos import LATCHED, RELIABLE
from salus_ros.stepsync import nanoseconds
from salus_ros.validity import InvalidInputError

THROTTLE = 2.0
"""Least time between two log messages of the same kind [s]."""

_PENDING = RELIABLE.depth
"""Signals that may wait for the body's state: as many as a subscription keeps."""


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
        self._answered: tuple[int, int] | None = None
        self._last: VlaSignals | None = None
        self._arrived: Time | None = None
        self._status: EpisodeStatus | None = None
        self._info: SignalInfo | None = None
        self._pending: deque[tuple[VlaSignals, float]] = deque()
        self._forecaster: Forecaster | None = None
        self._body: BodyBuffer | None = None
        self._mismatch = ""
        if self.parameters.checkpoint:
            try:
                predictor = open_checkpoint(self.parameters.checkpoint)
            except CheckpointError as error:
                raise ConfigureError(str(error)) from error
            self._info = self._wait_for_info()
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
        for topic, kind in ((JOINT_STATES, JointState), (TOOL_POSE, PoseStamped)):
            subscribe(kind, topic, partial(self._on_body, topic), RELIABLE)
        self.create_service(LoadCheckpoint, "~/load_checkpoint", self._on_load_checkpoint)
        self.create_timer(0.1, self._report_stale)

    def activate(self) -> None:
        """Say what forecasts will mean."""
        self._answered = self._last = self._arrived = None
        self._pending.clear()
        if self._forecaster is not None:
            # What came while the node was inactive is not known.
            self._forecaster = Forecaster(self._forecaster.predictor)
        self._announce()

    def cleanup(self) -> None:
        """Release the weights."""
        self._forecaster = None

    def _use(self, predictor: NeuralPredictor, name: str) -> None:
        try:
            body = BodyBuffer(predictor.layout.proprioception_names)
        except ValueError as error:
            raise ConfigureError(f"predictor checkpoint '{name}': {error}") from error
        self._forecaster = Forecaster(predictor)
        self._body = body if self._forecaster.reads_body else None
        self._name = name
        self._pending.clear()
        self.diagnostics.set("checkpoint", name)
        self.diagnostics.set("model hash", predictor.hash)

    def _announce(self) -> None:
        predictor = None if self._forecaster is None else self._forecaster.predictor
        name = "" if predictor is None else self._name
        self._infos.publish(info_message(predictor, name, self.get_clock().now().to_msg()))
        if predictor is None:
            self.get_logger().info("no checkpoint: forecasts will carry no numbers")
            return
        alarm = "no alarm"
        if predictor.band is not None:
            alarm = f"false-alarm rate {predictor.band.alpha:g}"
        self.get_logger().info(
            f"predictor '{predictor.name}' from {name} ({predictor.parameters} parameters, "
            f"{alarm}, hash {predictor.hash[:12]})"
        )

    def _wait_for_info(self) -> SignalInfo | None:
        """The policy's latched signal_info, if it is there already; see parameter info_wait."""
        if self.parameters.info_wait == 0.0:
            return None
        found: list[SignalInfo] = []
        # In a node and executor of its own: this one's executor is in the transition. A renaming
        # of this node on the command line is not for it: two of one name lose their endpoints.
        node = rclpy.create_node(
            f"{self.get_name()}_configuring",
            namespace=self.get_namespace(),
            context=self.context,
            use_global_arguments=False,
        )
        executor = SingleThreadedExecutor(context=self.context)
        try:
            topic = self.resolve_topic_name("signal_info")
            node.create_subscription(SignalInfo, topic, found.append, LATCHED)
            executor.add_node(node)
            end = time.monotonic() + self.parameters.info_wait
            while not found and time.monotonic() < end and self.context.ok():
                executor.spin_once(timeout_sec=0.05)
        finally:
            executor.shutdown()
            node.destroy_node()
        return found[0] if found else None

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

    def _on_episode(self, status: EpisodeStatus) -> None:
        self._status = status

    @when_active
    def _on_body(self, topic: str, message: JointState | PoseStamped) -> None:
        if self._body is not None:
            self._body.add(topic, message)
            self._answer_pending()

    @when_active
    def _on_signals(self, signals: VlaSignals) -> None:
        key = (signals.episode, signals.step)
        if key == self._answered:
            return
        self._answered = key
        self._last, self._arrived = signals, self.get_clock().now()
        self._pending.append((signals, time.monotonic()))
        self._answer_pending()

    def _answer_pending(self) -> None:
        """Answer signals in order; they wait for the body's state as long as it may still come.

        Messages of several topics are taken in any order, so newer signals do not tell that the
        body's state of older ones is lost; a newer body's state does.
        """
        while self._pending:
            signals, arrival = self._pending[0]
            body, problem = None, ""
            if self._body is not None:
                stamp = nanoseconds(signals.header.stamp)
                tolerance = round(1e9 * self.parameters.stamp_tolerance)
                messages = self._body.find(stamp, tolerance)
                lost = len(self._pending) > _PENDING or self._body.passed(stamp, tolerance)
                if messages is None and not lost:
                    return
                try:
                    body = None if messages is None else self._body.values(*messages)
                except InvalidInputError as error:
                    problem = str(error)
            self._pending.popleft()
            self._answer(signals, arrival, body, problem)

    def _answer(
        self, signals: VlaSignals, arrival: float, body: np.ndarray | None, problem: str
    ) -> None:
        forecast = FailureForecast(
            header=signals.header, episode=signals.episode, step=signals.step
        )
        forecast.status = FailureForecast.STATUS_NO_CHECKPOINT
        if self._forecaster is not None:
            self._forecast(forecast, signals, body, problem)
        forecast.latency = time.monotonic() - arrival
        self._forecasts.publish(forecast)
        self.diagnostics.count(forecast.latency)

    def _forecast(
        self,
        forecast: FailureForecast,
        signals: VlaSignals,
        body: np.ndarray | None,
        problem: str,
    ) -> None:
        forecast.status = FailureForecast.STATUS_INVALID_INPUT
        if self._mismatch:
            return
        forecaster = self._forecaster
        try:
            probabilities = forecaster.update(signals, body)
        except UnusableSignalsError as error:
            self.diagnostics.drop()
            self.get_logger().warning(
                f"no forecast for episode {signals.episode} step {signals.step}: "
                f"{problem or error}",
                throttle_duration_sec=THROTTLE,
            )
            return
        fill_forecast(forecast, forecaster.predictor, signals, probabilities, forecaster.outlook)
        warming_up = forecaster.warming_up
        forecast.status = (
            FailureForecast.STATUS_WARMING_UP if warming_up else FailureForecast.STATUS_OK
        )
        self.diagnostics.set("missed steps", forecaster.missed)
        if forecaster.drift is not None:
            self.diagnostics.set("drifted signals", ", ".join(forecaster.drift.drifted) or "none")
            self.diagnostics.set("unusual values", f"{forecaster.drift.outside:.3f}")

    @when_active
    def _report_stale(self) -> None:
        """Say once that the signals of a running episode have stopped."""
        limit = self.parameters.stale_after
        if self._forecaster is None or self._last is None or limit == 0.0:
            return
        last, status = self._last, self._status
        if status is not None and (
            status.state != EpisodeStatus.STATE_RUNNING or status.episode != last.episode
        ):
            return
        now = self.get_clock().now()
        if (now - self._arrived).nanoseconds < 1e9 * limit:
            return
        while self._pending:
            # Its body's state never came.
            signals, arrival = self._pending.popleft()
            self._answer(signals, arrival, None, "")
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
            predictor = open_checkpoint(request.checkpoint)
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
