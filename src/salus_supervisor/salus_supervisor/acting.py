# SPDX-License-Identifier: Apache-2.0
"""The table of interventions in the node: made for the robot and the predictor at hand."""

from __future__ import annotations

import numpy as np
from salus_msgs.msg import FailureForecast, ForecastInfo, SignalInfo, VlaSignals

from salus_core.actions import ActionSpec
from salus_core.failures import HORIZONS_S, Taxonomy, TaxonomyError
from salus_core.messages import InvalidInputError, read_forecast
from salus_core.prevention.supervisor import ActingSupervisor
from salus_core.prevention.table import Table, TableError
from salus_core.runtime import Forecast, Monitored, Observation, Proposal, SceneEstimate
from salus_core.supervision import Decision, LimitCheck


class Acting:
    """Decides by a table, once it is known what actions and forecasts mean.

    Args:
        table: of interventions.
        acts: False: says what it would do, and changes nothing.
    """

    def __init__(self, table: Table, acts: bool):
        self._table, self._acts = table, acts
        self._taxonomy, self._horizons = Taxonomy(), len(HORIZONS_S)
        self._chunk_shape: tuple[int, ...] = ()
        self._made: tuple[ActionSpec, float, LimitCheck] | None = None
        self.supervisor: ActingSupervisor | None = None
        self.problem = ""
        """Why it decides nothing; empty: it does, or nobody has said yet what actions mean."""

    def robot(self, info: SignalInfo, spec: ActionSpec, period: float, check: LimitCheck) -> None:
        """Take what actions mean, from signal_info."""
        self._chunk_shape = tuple(int(size) for size in info.chunk_shape)
        self._made = (spec, period, check)
        self._make()

    def predictor(self, info: ForecastInfo) -> None:
        """Take what forecasts mean, from forecast_info."""
        if not info.failure_names:
            return  # no predictor is loaded
        try:
            taxonomy = Taxonomy.of(info.failure_names)
        except TaxonomyError as error:
            self.supervisor, self.problem = None, f"forecast_info: {error}"
            return
        if (taxonomy, len(info.horizons)) != (self._taxonomy, self._horizons):
            self._taxonomy, self._horizons = taxonomy, len(info.horizons)
            self._make()

    def _make(self) -> None:
        if self._made is None:
            return
        spec, period, check = self._made
        self.supervisor, self.problem = None, ""
        try:
            self.supervisor = ActingSupervisor(
                spec, self._table, self._taxonomy, period, check, acts=self._acts
            )
        except TableError as error:
            self.problem = str(error)

    def reset(self) -> None:
        """Begin an episode."""
        if self.supervisor is not None:
            self.supervisor.reset()

    def decide(
        self,
        signals: VlaSignals,
        observation: Observation,
        scene: SceneEstimate | None,
        forecast: FailureForecast | None,
    ) -> Decision:
        """The decision on a step.

        Args:
            signals: of the step; checked for their length.
            observation: of the step.
            scene: of the step; None: nobody estimates it.
            forecast: the newest fresh one; None: there is none.
        """
        assert self.supervisor is not None
        chunks = None
        if self._chunk_shape and len(signals.chunk) == np.prod(self._chunk_shape):
            chunks = np.asarray(signals.chunk, np.float32).reshape(self._chunk_shape)
        proposal = Proposal(np.asarray(signals.action, np.float64), chunks=chunks)
        return self.supervisor.decide(
            observation, Monitored(proposal, self._forecast(forecast), scene)
        )

    def _forecast(self, message: FailureForecast | None) -> Forecast | None:
        if message is None:
            return None
        try:
            return read_forecast(message, self._horizons, self._taxonomy.size)
        except InvalidInputError:
            return None  # of another predictor than forecast_info has told of
