# SPDX-License-Identifier: Apache-2.0
"""A trained network with everything that turns recorded or live steps into forecasts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from salus_core.calibration.cross_conformal import CrossConformal, Threshold, running_peaks
from salus_core.calibration.drift import DriftReference
from salus_core.calibration.probabilities import ProbabilityCalibration
from salus_core.data.step_data import StepData
from salus_core.failures import Taxonomy
from salus_core.labels import horizon_steps
from salus_core.predictors.features import (
    FeatureStream,
    InputLayout,
    StepInputs,
    raw_columns,
)
from salus_core.predictors.interface import alarm_score
from salus_core.predictors.network import Network, NetworkShape
from salus_core.predictors.normaliser import Normaliser
from salus_core.predictors.registry import kind_of
from salus_core.predictors.source import Source
from salus_core.predictors.stepping import (
    Stepper,
    TemporalStepper,
    TorchStepper,
    finish,
    member_risks_of,
    outlook_of,
)
from salus_core.predictors.temporal import TemporalConfig

_ROWS_AT_ONCE = 8192


class MismatchError(ValueError):
    """A predictor does not fit the steps that it is given; the message names the difference."""


class NeuralPredictor:
    """One of the predictors of `registry`, trained.

    Attributes:
        name: of its kind.
        config: settings of its network.
        layout: of its inputs.
        normaliser: of its inputs.
        network: in evaluation mode. Read from a checkpoint it computes in double precision, so that
            order of summation does not show: live and offline forecasts agree to 1e-6.
        source: what it was trained on.
        taxonomy: the K failure types.
        calibration: of its probabilities; None: they are the network's own.
        band: of its alarm; None: it gives no alarm.
        alarm_types: codes of the failures that its alarm is about.
        drift: what signals are like where it was calibrated; None: not known.
        hash: SHA-256 over its manifest, which holds that of its weights; empty: not saved yet.
        weights_hash: SHA-256 over its weights alone, the identity in older recordings.
    """

    def __init__(
        self,
        name: str,
        config: Any,
        layout: InputLayout,
        normaliser: Normaliser,
        source: Source,
        scene: int = 0,
    ):
        self.taxonomy = Taxonomy(source.failure_names)
        self.name = name
        self.config = config
        self.layout = layout
        self.normaliser = normaliser
        self.source = source
        self.calibration: ProbabilityCalibration | None = None
        self.band: Threshold | None = None
        main = self.taxonomy.main
        self.alarm_types = self.taxonomy.codes if kind_of(name).cross_validated else main
        self.drift: DriftReference | None = None
        self.hash = self.weights_hash = ""
        self.shape = NetworkShape(
            columns=len(layout.columns),
            embedding=layout.embedding_size,
            members=source.members,
            horizon_steps=tuple(horizon_steps(source.control_period, source.horizons).tolist()),
            types=len(source.failure_names),
            scene=scene,
        )
        self.network: Network = kind_of(name).network(self.shape, config)
        self.network.eval()

    @property
    def horizons(self) -> tuple[float, ...]:
        """The H horizons of its forecasts [s]."""
        return self.source.horizons

    @property
    def gives_forecasts(self) -> bool:
        """It gives (H, K) probabilities; else one risk score."""
        return self.network.head is not None

    @property
    def has_outcome_head(self) -> bool:
        """Its alarm looks at the episode's end, see `HazardHead`."""
        return getattr(self.network.head, "has_outcome_head", False)

    @property
    def members(self) -> int:
        """M of `outcome`; 0 of the others."""
        return getattr(self.config, "members", 0)

    @property
    def calibrates_score(self) -> bool:
        """What its alarm looks at goes through the calibration of its probabilities."""
        return self.gives_forecasts and not self.has_outcome_head

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def scores(self, data: StepData) -> np.ndarray:
        """Calibrated probabilities (N, H, K), or risk (N,) of a predictor without horizons.

        Raises:
            MismatchError: the data are not what it was trained on.
        """
        return self.forecasts(data)[0]

    def forecasts(self, data: StepData) -> tuple[np.ndarray, np.ndarray]:
        """What `scores` gives, and what the alarm looks at, (N,): see `alarm_score`.

        Raises:
            MismatchError: the data are not what it was trained on.
        """
        found, outlook, risks = self._run(data)
        if self.calibration is not None:
            found = self.calibration.apply(found)
        if isinstance(self.band, CrossConformal):
            table = data.episodes
            return found, self.band.score(running_peaks(risks, table.start, table.length))
        score = alarm_score(found, self.alarm_types, outlook) if self.gives_forecasts else found
        return found, score

    def member_risks(self, data: StepData) -> np.ndarray:
        """Probability of each member of `outcome` that the episode fails, (N, M).

        Raises:
            MismatchError: the data are not what it was trained on.
        """
        return self._run(data)[2]

    def raw_scores(self, data: StepData) -> np.ndarray:
        """As `scores`, but not calibrated.

        Raises:
            MismatchError: the data are not what it was trained on.
        """
        return self._run(data)[0]

    def _run(self, data: StepData) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Probabilities or risk, the episode's end, and the members' risks (N, M)."""
        self.require_match(Source.of(data))
        columns = self.normaliser.columns(raw_columns(self.layout, data))
        shape = (len(self.horizons), self.taxonomy.size) if self.gives_forecasts else ()
        found = np.empty((len(data), *shape), np.float32)
        outlook = np.empty((len(data), self.taxonomy.size), np.float32)
        risks = np.empty((len(data), self.members), np.float32)
        weight = next(self.network.parameters())
        with torch.inference_mode():
            for rows, present in _batches(data, self.network.by_episode):
                embedding = np.zeros((*rows.shape, 0), np.float32)
                if self.layout.embedding_size:
                    embedding = self.normaliser.embedding(data.embedding[rows])
                outputs = self.network(
                    torch.from_numpy(columns[rows]).to(weight),
                    torch.from_numpy(embedding).to(weight),
                ).outputs
                found[rows[present]] = finish(self.network, outputs).float().cpu().numpy()[present]
                ends = outlook_of(self.network, outputs)
                if ends is not None:
                    outlook[rows[present]] = ends.float().cpu().numpy()[present]
                each = member_risks_of(self.network, outputs, self.alarm_types)
                if each is not None:
                    risks[rows[present]] = each.float().cpu().numpy()[present]
        return found, outlook if self.has_outcome_head else None, risks

    def stream(self) -> PredictorStream:
        """The same predictor for one step after the other."""
        return PredictorStream(self)

    def require_match(self, source: Source) -> None:
        """Check that steps of a source can be forecast from.

        Raises:
            MismatchError: they cannot; all differences are named.
        """
        differences = self.source.differences(source, self.layout)
        if differences:
            raise MismatchError(
                f"predictor '{self.name}' does not fit these signals: {'; '.join(differences)}"
            )

    def describe(self) -> dict[str, Any]:
        """Everything but weights, normaliser, calibration and band, as JSON values."""
        return {
            "predictor": self.name,
            "network": asdict(self.config),
            "layout": asdict(self.layout),
            "source": asdict(self.source),
            "scene": self.shape.scene,
            "parameters": self.parameters,
            "context_steps": self.network.context,
            "alarm_types": [self.taxonomy.name(code) for code in self.alarm_types],
        }


class PredictorStream:
    """Forecasts of one episode, step by step, equal to `NeuralPredictor.forecasts`.

    Args:
        predictor: whose weights are on the CPU.

    Attributes:
        score: what the alarm looks at, of the last step; NaN before the first.
        outlook: (K,) probabilities that the episode ends by each type, as of the last step; None:
            the predictor does not say.
    """

    def __init__(self, predictor: NeuralPredictor):
        self._predictor = predictor
        self._features = FeatureStream(predictor.layout, predictor.normaliser)
        self._stepper = self._make_stepper()
        self.remembers = False
        """Keep what was known before each step, for `risks_of`."""
        self.reset()

    def reset(self) -> None:
        """Begin an episode."""
        self._features.reset()
        self._stepper.reset()
        self.steps = 0
        self.score = float("nan")
        self.outlook: np.ndarray | None = None
        self._before: tuple[Any, ...] | None = None
        self._peaks = np.full(self._predictor.members, -np.inf, np.float32)

    @property
    def warming_up(self) -> bool:
        """The memory of the network is not full yet."""
        return self.steps < self._predictor.network.context

    def update(self, step: StepInputs) -> np.ndarray:
        """Probabilities (H, K), or a risk (), of the next step."""
        predictor = self._predictor
        if self.remembers:
            self._before = self._memory()
        found, self.outlook, risks = self._stepper.advance(*self._features.update(step))
        self.steps += 1
        if predictor.calibration is not None:
            found = predictor.calibration.apply(found)
        if isinstance(predictor.band, CrossConformal):
            assert risks is not None  # a checkpoint's threshold and network belong together
            self._peaks = np.maximum(self._peaks, risks)
            self.score = float(predictor.band.score(self._peaks))
        else:
            types = predictor.alarm_types
            self.score = float(alarm_score(found, types, self.outlook) if found.ndim else found)
        return found

    def risks_of(self, step: StepInputs, actions: np.ndarray) -> np.ndarray:
        """Scores that the last step would have had with other actions; nothing changes.

        Args:
            step: the last one that `update` was given.
            actions: (N, A).

        Returns:
            (N,) what the alarm looks at.

        Raises:
            ValueError: `remembers` was not set before that step.
        """
        if self._before is None:
            raise ValueError("the stream does not remember the step before: set remembers")
        before, after = self._before, self._memory()
        found = np.empty(len(actions))
        for row, action in enumerate(actions):
            self._recall(before)
            self.update(replace(step, action=np.asarray(action, np.float32)))
            found[row] = self.score
        self._recall(after)
        self._before = before
        return found

    def _memory(self) -> tuple[Any, ...]:
        kept = (self.steps, self.score, self.outlook, self._peaks)
        return self._features.memory, self._stepper.memory, *kept

    def _recall(self, memory: tuple[Any, ...]) -> None:
        self._features.memory, self._stepper.memory = memory[:2]
        self.steps, self.score, self.outlook, self._peaks = memory[2:]

    def skip(self) -> None:
        """Pass a step of which nothing is known."""
        layout = self._predictor.layout
        nothing = np.full(12, np.nan, np.float32)
        self.update(
            StepInputs(
                signals=nothing,
                valid=np.zeros(12, bool),
                proprioception=np.full(len(layout.proprioception_names), np.nan, np.float32),
                action=np.full(layout.action_size, np.nan, np.float32),
                action_std=np.full(layout.action_size, np.nan, np.float32),
                embedding=np.full(layout.embedding_size, np.nan, np.float32),
            )
        )

    def _make_stepper(self) -> Stepper:
        predictor = self._predictor
        if isinstance(predictor.config, TemporalConfig):
            return TemporalStepper(
                predictor.network.state_dict(),
                predictor.config.dilations if predictor.config.core == "tcn" else (),
                predictor.shape.horizon_steps,
                predictor.shape.types,
            )
        return TorchStepper(predictor.network, predictor.alarm_types)


def _batches(data: StepData, by_episode: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows (B, T) and which of them are not padding."""
    if not by_episode:
        for begin in range(0, len(data), _ROWS_AT_ONCE):
            rows = np.arange(begin, min(begin + _ROWS_AT_ONCE, len(data)))[:, None]
            yield rows, np.ones(rows.shape, bool)
        return
    order = np.argsort(data.episodes.length, kind="stable")
    while len(order):
        longest = int(data.episodes.length[order[-1]])
        take, order = np.split(order[::-1], [max(1, _ROWS_AT_ONCE // longest)])
        order = order[::-1]
        yield padded_rows(data.episodes.start[take], data.episodes.length[take])


def padded_rows(start: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (B, T) of B episodes, padded with their last row, and which are not padding."""
    time = np.arange(int(length.max()))
    present = time < length[:, None]
    return start[:, None] + np.minimum(time, length[:, None] - 1), present
