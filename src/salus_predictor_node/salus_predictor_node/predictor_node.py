"""Forecast node: answers each VlaSignals with a FailureForecast."""

import sys
import time
from dataclasses import dataclass

from salus_msgs.msg import FailureForecast, ForecastInfo, VlaSignals
from salus_msgs.srv import LoadCheckpoint

from salus_predictor_node.checkpoints import CheckpointError, open_checkpoint
from salus_util.managed_node import (
    ConfigureError,
    ManagedNode,
    ManagedParameters,
    run,
    when_active,
)
from salus_util.parameters import parameter
from salus_util.qos import LATCHED, RELIABLE


@dataclass
class PredictorParameters(ManagedParameters):
    """Parameters of the predictor."""

    checkpoint: str = parameter(
        "",
        "Checkpoint (file or folder); empty: forecasts carry the status 'no checkpoint' "
        "and no numbers. Another one can be loaded with the service ~/load_checkpoint.",
        read_only=True,
    )


class PredictorNode(ManagedNode):
    """Without a checkpoint every forecast says so (STATUS_NO_CHECKPOINT) and carries no numbers."""

    parameters_type = PredictorParameters

    def __init__(self):
        super().__init__("predictor")
        self._answered: tuple[int, int] | None = None

    def configure(self) -> None:
        """Open the checkpoint and connect."""
        if self.parameters.checkpoint:
            try:
                open_checkpoint(self.parameters.checkpoint)
            except CheckpointError as error:
                raise ConfigureError(str(error)) from error
        self.diagnostics.set("checkpoint", "none")
        self._forecasts = self.create_lifecycle_publisher(
            FailureForecast, "failure_forecast", RELIABLE
        )
        self._info = self.create_lifecycle_publisher(ForecastInfo, "forecast_info", LATCHED)
        self.create_subscription(VlaSignals, "vla_signals", self._on_signals, RELIABLE)
        self.create_service(LoadCheckpoint, "~/load_checkpoint", self._on_load_checkpoint)

    def activate(self) -> None:
        """Say what forecasts will mean."""
        self._answered = None
        info = ForecastInfo()
        info.header.stamp = self.get_clock().now().to_msg()
        self._info.publish(info)
        self.get_logger().info("no checkpoint: forecasts will carry no numbers")

    @when_active
    def _on_signals(self, signals: VlaSignals) -> None:
        arrival = time.monotonic()
        key = (signals.episode, signals.step)
        if key == self._answered:
            return
        self._answered = key
        forecast = FailureForecast(
            header=signals.header,
            episode=signals.episode,
            step=signals.step,
            status=FailureForecast.STATUS_NO_CHECKPOINT,
        )
        forecast.latency = time.monotonic() - arrival
        self._forecasts.publish(forecast)
        self.diagnostics.count(forecast.latency)

    def _on_load_checkpoint(
        self, request: LoadCheckpoint.Request, response: LoadCheckpoint.Response
    ) -> LoadCheckpoint.Response:
        try:
            open_checkpoint(request.checkpoint)
        except CheckpointError as error:
            response.success = False
            response.message = str(error)
        return response


def main(args: list[str] | None = None) -> int:
    """Run the predictor."""
    return run(PredictorNode, args)


if __name__ == "__main__":
    sys.exit(main())
