# SPDX-License-Identifier: Apache-2.0
"""Predictors by name, with the defaults of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from salus_core.predictors.mlp import Mlp, MlpConfig, MlpLargeConfig
from salus_core.predictors.mvp import Mvp, MvpConfig
from salus_core.predictors.network import Network, NetworkShape
from salus_core.predictors.outcome import Outcome, OutcomeConfig
from salus_core.predictors.safe import SafeConfig, SafeLstm, SafeMlp
from salus_core.predictors.temporal import Temporal, TemporalConfig


@dataclass(frozen=True)
class Kind:
    """One kind of predictor.

    Attributes:
        network: makes it of a NetworkShape and a config.
        config: dataclass of its own settings.
        inputs: groups that it reads unless told otherwise.
        loss: that it is trained with unless told otherwise.
        training: other defaults of TrainingSettings.
        hazards: it puts out hazards, which the loss "survival" is made for.
        cross_validated: it learns from all episodes, each fold for the members that do not learn
            from it; no splits are made.
    """

    network: Callable[[NetworkShape, Any], Network]
    config: type
    inputs: tuple[str, ...]
    loss: str
    training: dict[str, Any]
    hazards: bool = False
    cross_validated: bool = False


_STEPS = {"batch_size": 256, "positive_weight": 3.0}

KINDS: dict[str, Kind] = {
    "mvp": Kind(Mvp, MvpConfig, ("small_set",), "episode_bce", {**_STEPS, "batch_size": 32}),
    "mlp": Kind(Mlp, MlpConfig, ("signals",), "bce", _STEPS),
    "mlp_large": Kind(Mlp, MlpLargeConfig, ("signals",), "bce", _STEPS),
    "temporal": Kind(
        Temporal,
        TemporalConfig,
        ("signals", "valid", "proprioception", "action", "action_std", "embedding"),
        "survival",
        {"batch_size": 16, "positive_weight": 1.0, "auxiliary_weight": 0.1},
        hazards=True,
    ),
    "outcome": Kind(
        Outcome,
        OutcomeConfig,
        ("signals", "valid", "proprioception", "action", "action_std", "embedding"),
        "episode_bce",
        {"batch_size": 512, "learning_rate": 3e-3, "weight_decay": 1e-2, "positive_weight": 1.0},
        cross_validated=True,
    ),
    "safe_mlp": Kind(SafeMlp, SafeConfig, ("embedding",), "safe_mlp", {"batch_size": 32}),
    "safe_lstm": Kind(SafeLstm, SafeConfig, ("embedding",), "safe_lstm", {"batch_size": 32}),
}
"""Known predictors."""


def kind_of(name: str) -> Kind:
    """The kind of a name.

    Raises:
        ValueError: unknown; the message names those that are known.
    """
    if name not in KINDS:
        raise ValueError(f"unknown predictor '{name}': use {', '.join(KINDS)}")
    return KINDS[name]
