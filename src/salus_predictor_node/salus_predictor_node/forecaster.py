# SPDX-License-Identifier: Apache-2.0
"""From VlaSignals to forecasts: the state of one environment, free of nodes and topics."""

import numpy as np
from salus_msgs.msg import VlaSignals

from salus_core.calibration import DriftMonitor
from salus_core.messages import step_values
from salus_core.predictors.features import StepInputs
from salus_core.predictors.model import NeuralPredictor, PredictorStream
from salus_core.runtime.monitor import make_forecast
from salus_core.runtime.types import Forecast


class UnusableSignalsError(ValueError):
    """Signals lack what the predictor needs; the message names what."""


class Forecaster:
    """Follows episodes: begins anew with each, and passes steps that never came.

    Args:
        predictor: that gives forecasts.
    """

    def __init__(self, predictor: NeuralPredictor):
        self.predictor = predictor
        self.reads_body = "proprioception" in predictor.layout.inputs
        self.drift = None if predictor.drift is None else DriftMonitor(predictor.drift)
        self._stream: PredictorStream = predictor.stream()
        self._last: tuple[int, int] | None = None
        self.missed = 0
        """Steps that never came, also those before the first of an episode."""
        self._unseen = 0

    def update(
        self, signals: VlaSignals, body: np.ndarray | None, episode: int | None = None
    ) -> Forecast:
        """The forecast of the next step.

        Args:
            signals: of a later step than the last, or of another episode.
            body: (P,) proprioception; None: not known, or not read.
            episode: position of the episode, which never repeats; None: the signals' number.

        Raises:
            UnusableSignalsError: what is unusable is passed as not known; no forecast. Or a number
                of the forecast is not finite.
        """
        self._follow(signals.episode if episode is None else episode, signals.step)
        inputs, problem = self._inputs(signals, body)
        probabilities = self._stream.update(inputs)
        if self.drift is not None:
            self.drift.add(inputs.signals)
        if problem:
            raise UnusableSignalsError(problem)
        stream = self._stream
        forecast = make_forecast(
            self.predictor,
            signals.step,
            probabilities,
            stream.score,
            stream.outlook,
            stream.steps - self._unseen < self.predictor.network.context,
        )
        if forecast.probabilities is None:
            raise UnusableSignalsError(
                "the predictor gives a number that is not finite: load another checkpoint"
            )
        return forecast

    def _follow(self, episode: int, step: int) -> None:
        last = self._last
        self._last = (episode, step)
        if last is None or last[0] != episode or step <= last[1]:
            if last is not None and self.drift is not None:
                self.drift.end_episode()
            self._stream.reset()
            self._unseen = self._skip(step)
        else:
            self._skip(step - last[1] - 1)

    def _skip(self, gap: int) -> int:
        """Pass steps that never came, as many as the memory reaches back; returns how many."""
        self.missed += gap
        passed = min(gap, self.predictor.network.reach)
        for _ in range(passed):
            self._stream.skip()
        return passed

    def _inputs(self, signals: VlaSignals, body: np.ndarray | None) -> tuple[StepInputs, str]:
        layout = self.predictor.layout
        values, problems = step_values(signals, layout.embedding_size, layout.action_size)
        if self.reads_body and body is None:
            problems.append("the body's state of its stamp is missing")
        if body is None:
            body = np.full(len(layout.proprioception_names), np.nan, np.float32)
        return StepInputs(proprioception=body, **values), "; ".join(problems)
