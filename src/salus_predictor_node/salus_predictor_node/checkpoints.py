# SPDX-License-Identifier: Apache-2.0
"""Opening of predictor checkpoints for the node, and what their numbers mean."""

from array import array
from pathlib import Path

import numpy as np
from builtin_interfaces.msg import Time
from salus_msgs.msg import FailureForecast, ForecastInfo, SignalInfo, VlaSignals

from salus_core.failures import FAILURE_NAMES, OTHER_FAILURE
from salus_core.predictors.checkpoint import CheckpointError, load_checkpoint
from salus_core.predictors.interface import alarm_score, risk
from salus_core.predictors.model import NeuralPredictor, Source

_LIKELY = 0.5
WEIGHTS = Path(__file__).parent / "weights"
"""Checkpoints that ship with this package, one folder each."""

__all__ = ["CheckpointError", "fill_forecast", "info_message", "open_checkpoint", "source_of"]


def open_checkpoint(checkpoint: str) -> NeuralPredictor:
    """Open a predictor's checkpoint.

    Args:
        checkpoint: its folder, its manifest, or the name of one that ships with this package.

    Raises:
        CheckpointError: it cannot be used, with the reason.
    """
    shipped = WEIGHTS / checkpoint
    by_name = "/" not in checkpoint and shipped.is_dir() and not Path(checkpoint).exists()
    try:
        predictor, _ = load_checkpoint(shipped if by_name else checkpoint)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}; leave 'checkpoint' empty to run without forecasts"
        ) from error
    if not predictor.gives_forecasts:
        raise CheckpointError(
            f"predictor checkpoint '{checkpoint}' is a '{predictor.name}', which gives a risk "
            "without failure types and horizons: it is a baseline for evaluate, not for the node"
        )
    return predictor


def source_of(info: SignalInfo, predictor: NeuralPredictor) -> Source:
    """What a live policy gives, to be compared with what a predictor was trained on."""
    return Source(
        schema_hash=info.schema_hash,
        policies=((info.policy, info.policy_hash),),
        embedding_size=info.embedding_size,
        members=info.members,
        # The body's state does not come from the policy: it is checked message by message.
        proprioception_names=predictor.source.proprioception_names,
        control_period=info.control_period,
        action_names=tuple(info.action_names),
        action_kinds=tuple(info.action_kinds),
    )


def _code(code: int) -> int:
    """The number in messages of a type of a taxonomy: its own only if it is built in."""
    return code if code <= len(FAILURE_NAMES) else OTHER_FAILURE


def info_message(predictor: NeuralPredictor | None, name: str, stamp: Time) -> ForecastInfo:
    """What forecasts will mean.

    Args:
        predictor: None: there are none.
        name: of its checkpoint.
        stamp: of the message.
    """
    info = ForecastInfo()
    info.header.stamp = stamp
    if predictor is None:
        return info
    info.predictor = name
    info.predictor_hash = predictor.hash
    info.horizons = array("f", predictor.horizons)
    info.failure_names = list(predictor.taxonomy.names)
    info.failure_types = bytes(_code(code) for code in predictor.taxonomy.codes)
    info.schema_hash = predictor.source.schema_hash
    if predictor.band is not None:
        info.alarm_rate = predictor.band.alpha
        info.calibration_episodes = predictor.band.episodes
    return info


def fill_forecast(
    forecast: FailureForecast,
    predictor: NeuralPredictor,
    signals: VlaSignals,
    probabilities: np.ndarray,
    outlook: np.ndarray | None = None,
) -> None:
    """Put the numbers of a step into its forecast.

    Args:
        forecast: gets them.
        predictor: whose band gives the alarm.
        signals: of the step.
        probabilities: (H, K).
        outlook: (K,) probabilities of the episode's end; None: the predictor does not say.
    """
    forecast.probabilities = array("f", probabilities.ravel().tolist())
    forecast.risk = float(risk(probabilities))
    forecast.score = float(alarm_score(probabilities, predictor.taxonomy, outlook))
    kind = int(np.argmax(probabilities[-1] if outlook is None else outlook))
    forecast.likeliest_failure = _code(kind + 1)
    forecast.likeliest_failure_name = predictor.taxonomy.name(kind + 1)
    forecast.likeliest_horizon = predictor.horizons[-1]
    if predictor.band is None:
        return
    edge = float(predictor.band.edge(signals.step))
    forecast.band = edge if np.isfinite(edge) else float(np.finfo(np.float32).max)
    forecast.alarm = forecast.score > edge
    # The edge of an outlook's band is of the whole episode.
    threshold = edge if outlook is None else _LIKELY
    passing = np.flatnonzero(probabilities[:, kind] > threshold)
    if passing.size:
        forecast.likeliest_horizon = predictor.horizons[passing[0]]
