# SPDX-License-Identifier: Apache-2.0
"""Opening of predictor checkpoints for the node, and what their numbers mean."""

import reprlib
from array import array
from collections.abc import Sequence
from pathlib import Path

from builtin_interfaces.msg import Time
from salus_msgs.msg import FailureForecast, ForecastInfo, SignalInfo

from salus_core.failures import FAILURE_NAMES, OTHER_FAILURE
from salus_core.paths import PathError, require_beneath
from salus_core.predictors.checkpoint import WEIGHTS as WEIGHTS_FILE
from salus_core.predictors.checkpoint import CheckpointError, load_checkpoint
from salus_core.predictors.manifest import MANIFEST
from salus_core.predictors.model import NeuralPredictor, Source
from salus_core.runtime.types import Forecast

WEIGHTS = Path(__file__).parent / "weights"
"""Checkpoints that ship with this package, one folder each."""

__all__ = ["CheckpointError", "fill_forecast", "info_message", "open_checkpoint", "source_of"]


def open_checkpoint(checkpoint: str, folders: Sequence[str] | None = None) -> NeuralPredictor:
    """Open a predictor's checkpoint.

    Args:
        checkpoint: its folder, its manifest, or the name of one that ships with this package.
        folders: that it must lie beneath, its links followed, unless it ships with this package;
            None: anywhere.

    Raises:
        CheckpointError: it cannot be used, with the reason.
    """
    if not checkpoint or not checkpoint.isprintable() or len(checkpoint) > 1024:
        raise CheckpointError(f"{reprlib.repr(checkpoint)} is no path of a predictor checkpoint")
    shipped = WEIGHTS / checkpoint
    by_name = "/" not in checkpoint and shipped.is_dir() and not Path(checkpoint).exists()
    folder = shipped if by_name else Path(checkpoint)
    try:
        if folders is not None and not by_name:
            folder = folder.parent if folder.name == MANIFEST else folder
            files = (folder, folder / MANIFEST, folder / WEIGHTS_FILE)
            require_beneath(files, folders, "checkpoint_folders")
        predictor, _ = load_checkpoint(folder)
    except PathError as error:
        raise CheckpointError(f"predictor checkpoint {error}") from error
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


def info_message(
    predictor: NeuralPredictor | None, name: str, promised: float, stamp: Time
) -> ForecastInfo:
    """What forecasts will mean.

    Args:
        predictor: None: there are none.
        name: of its checkpoint.
        promised: false-alarm rate per successful episode of the checkpoint; an adapted threshold
            is for another one.
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
        info.alarm_rate = promised
        info.calibration_episodes = predictor.band.episodes
    return info


def fill_forecast(message: FailureForecast, forecast: Forecast, predictor: NeuralPredictor) -> None:
    """Put the numbers of a step into its message.

    Args:
        message: gets them.
        forecast: of the step, with numbers.
        predictor: that made it.
    """
    assert forecast.probabilities is not None
    message.probabilities = array("f", forecast.probabilities.ravel().tolist())
    if forecast.outcome_probabilities is not None:
        message.outcome_probabilities = array("f", forecast.outcome_probabilities.tolist())
    message.risk, message.score = forecast.risk, forecast.score
    message.band, message.alarm = forecast.threshold, forecast.alarm
    message.likeliest_failure = _code(forecast.likeliest_failure)
    message.likeliest_failure_name = predictor.taxonomy.name(forecast.likeliest_failure)
    message.likeliest_horizon = forecast.likeliest_horizon
