"""From VlaSignals to forecasts: the state of one environment, free of nodes and topics."""

import numpy as np
from salus_msgs.msg import VlaSignals

from salus_core.calibration import DriftMonitor
from salus_core.predictors.features import StepInputs
from salus_core.predictors.model import NeuralPredictor, PredictorStream
from salus_core.signals import SIGNAL_NAMES, unpack_validity


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
        """Steps that never came."""

    @property
    def warming_up(self) -> bool:
        """The predictor's memory is not full yet."""
        return self._stream.warming_up

    def update(self, signals: VlaSignals, body: np.ndarray | None) -> np.ndarray:
        """Probabilities (H, K) of the next step.

        Args:
            signals: of a later step than the last, or of another episode.
            body: (P,) proprioception; None: not known, or not read.

        Raises:
            UnusableSignalsError: the step is passed as one of which nothing is known.
        """
        self._follow(signals.episode, signals.step)
        inputs, problem = self._inputs(signals, body)
        probabilities = self._stream.update(inputs)
        if self.drift is not None:
            self.drift.add(inputs.signals)
        if problem:
            raise UnusableSignalsError(problem)
        return probabilities

    def _follow(self, episode: int, step: int) -> None:
        last = self._last
        self._last = (episode, step)
        if last is None or last[0] != episode or step <= last[1]:
            if last is not None and self.drift is not None:
                self.drift.end_episode()
            self._stream.reset()
            return
        gap = step - last[1] - 1
        self.missed += gap
        for _ in range(min(gap, self.predictor.network.context)):
            self._stream.skip()

    def _inputs(self, signals: VlaSignals, body: np.ndarray | None) -> tuple[StepInputs, str]:
        layout = self.predictor.layout
        problems = []
        valid = unpack_validity(signals.valid)
        values = np.array([getattr(signals, name) for name in SIGNAL_NAMES], np.float32)
        action = np.asarray(signals.action, np.float32)
        if not np.isfinite(action).all():
            problems.append("the action is not finite")
            action = np.full(7, np.nan, np.float32)
        embedding = np.asarray(signals.embedding, np.float32)
        if layout.embedding_size and embedding.size != layout.embedding_size:
            problems.append(
                f"the embedding has {embedding.size} values, expected {layout.embedding_size}"
            )
            embedding = np.full(layout.embedding_size, np.nan, np.float32)
        if self.reads_body and body is None:
            problems.append("no joint_states and tool_pose with its stamp came")
        if body is None:
            body = np.full(len(layout.proprioception_names), np.nan, np.float32)
        inputs = StepInputs(
            signals=np.where(valid, values, np.float32(np.nan)),
            valid=valid,
            proprioception=body,
            action=action,
            action_std=np.asarray(signals.action_std, np.float32),
            embedding=embedding,
        )
        return inputs, "; ".join(problems)
