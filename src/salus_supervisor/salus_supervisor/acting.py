# SPDX-License-Identifier: Apache-2.0
"""The table of interventions in the node: made for the robot and the predictor at hand."""

from __future__ import annotations

import numpy as np
from salus_msgs.msg import FailureForecast, ForecastInfo, SignalInfo, VlaSignals

from salus_core.actions import ActionSpec
from salus_core.failures import HORIZONS_S, Taxonomy, TaxonomyError
from salus_core.messages import SCENE_ESTIMATE, InvalidInputError, read_forecast
from salus_core.prevention.manoeuvres import known_manoeuvres
from salus_core.prevention.supervisor import ActingSupervisor
from salus_core.prevention.table import Table, TableError
from salus_core.runtime import Forecast, Monitored, Proposal
from salus_core.supervision import Decision, LimitCheck
from salus_supervisor.step_inputs import StepInputs


class Acting:
    """Decides by a table, once it is known what actions and forecasts mean.

    Args:
        table: of interventions.
        acts: False: says what it would do, and changes nothing.
        inputs: of the steps.

    Raises:
        TableError: it names a manoeuvre that is not known.

    Attributes:
        ready: it is known what actions mean, and the table fits them.
        problem: why the table cannot be followed; empty: it can.
        unusable: why something of the last step could not be used; empty: nothing is wrong.
        no_forecast: the forecast of the last step could not be used.
    """

    def __init__(self, table: Table, acts: bool, inputs: StepInputs):
        known = known_manoeuvres()
        unknown = [name for name in table.manoeuvres if name not in known]
        if unknown:
            raise TableError(f"manoeuvre '{unknown[0]}' is not known: use {', '.join(known)}")
        self._table, self._acts, self._inputs = table, acts, inputs
        self._scenic = [name for name in table.manoeuvres if known[name].reads_scene]
        self._taxonomy, self._horizons = Taxonomy(), len(HORIZONS_S)
        self._robot: tuple[ActionSpec, float, LimitCheck] | None = None
        self._chunk_shape: tuple[int, ...] = ()
        self._supervisor: ActingSupervisor | None = None
        self.problem = self.unusable = ""
        self.no_forecast = False

    @property
    def ready(self) -> bool:
        """See the class."""
        return self._supervisor is not None

    @property
    def warned(self) -> frozenset[str]:
        """Types of failure that are to be acted on, as of the last step."""
        return frozenset() if self._supervisor is None else self._supervisor.warned

    @property
    def not_offered(self) -> str:
        """Which manoeuvres are not offered, as nobody estimates the scene; empty: all are."""
        if not self._scenic or self._inputs.sent(SCENE_ESTIMATE):
            return ""
        return f"nobody publishes {SCENE_ESTIMATE}: {', '.join(self._scenic)} are not offered"

    def robot(self, info: SignalInfo, spec: ActionSpec, period: float, check: LimitCheck) -> None:
        """Take what actions mean, from signal_info; the same again changes nothing."""
        self._chunk_shape = tuple(int(size) for size in info.chunk_shape)
        if self._robot == (spec, period, check):
            return
        self._robot = (spec, period, check)
        self._make()

    def predictor(self, info: ForecastInfo) -> None:
        """Take what forecasts mean, from forecast_info."""
        if not info.failure_names:
            return  # no predictor is loaded
        try:
            taxonomy = Taxonomy.of(info.failure_names)
        except TaxonomyError as error:
            self._supervisor, self.problem = None, f"forecast_info: {error}"
            return
        if (taxonomy, len(info.horizons)) != (self._taxonomy, self._horizons):
            self._taxonomy, self._horizons = taxonomy, len(info.horizons)
            self._make()

    def _make(self) -> None:
        if self._robot is None:
            return
        spec, period, check = self._robot
        self._supervisor, self.problem = None, ""
        try:
            self._supervisor = ActingSupervisor(
                spec, self._table, self._taxonomy, period, check, acts=self._acts
            )
        except TableError as error:
            self.problem = str(error)

    def reset(self) -> None:
        """Begin an episode."""
        if self._supervisor is not None:
            self._supervisor.reset()

    def clear(self) -> None:
        """Forget what came."""
        self.reset()
        self._inputs.clear()

    def answer_help(self) -> None:
        """An operator has answered."""
        if self._supervisor is not None:
            self._supervisor.answer_help()

    def follow(self, signals: VlaSignals, episode: int, wait: float) -> None:
        """Begin to look for the messages of a step; see StepInputs."""
        self._inputs.follow(signals, episode, wait)

    def waits_for_inputs(self, signals: VlaSignals) -> bool:
        """Whether messages of a step are still waited for."""
        return self._inputs.of(signals) is None

    def decide(self, signals: VlaSignals, forecast: FailureForecast | None) -> Decision:
        """The decision on a step whose messages are there, or given up.

        Args:
            signals: of the step.
            forecast: the newest fresh one; None: there is none.
        """
        found = self._inputs.of(signals)
        assert found is not None
        assert self._supervisor is not None
        observation, scene, self.unusable = found
        chunks = None
        if self._chunk_shape and len(signals.chunk) == np.prod(self._chunk_shape):
            chunks = np.asarray(signals.chunk, np.float32).reshape(self._chunk_shape)
        proposal = Proposal(np.asarray(signals.action, np.float64), chunks=chunks)
        monitored = Monitored(proposal, self._read(forecast), scene)
        return self._supervisor.decide(observation, monitored)

    def _read(self, message: FailureForecast | None) -> Forecast | None:
        self.no_forecast = False
        if message is None:
            return None
        try:
            return read_forecast(message, self._horizons, self._taxonomy.size)
        except InvalidInputError as error:
            self.no_forecast = True
            self.unusable = "; ".join(filter(None, (self.unusable, str(error))))
            return None
