# SPDX-License-Identifier: Apache-2.0
"""What an ablation leaves out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from salus_core.data import StepData
from salus_core.evaluation.members import with_members
from salus_core.evaluation.privileged import with_true_scene
from salus_core.predictors.temporal import TemporalConfig
from salus_core.predictors.training.configuration import RunSettings

SIGNAL_GROUPS: dict[str, tuple[str, ...]] = {
    "temporal": (
        "action_volatility",
        "action_magnitude",
        "action_acceleration",
        "trajectory_divergence",
        "temporal_consistency",
    ),
    "internal": ("latent_drift", "latent_norm_spike", "ood_distance"),
    "uncertainty": ("predictive_entropy", "epistemic_uncertainty"),
    "physics": ("execution_mismatch", "constraint_margin"),
}
"""The twelve signals by what they are made from."""

INPUTS_OF_GROUP = {"uncertainty": ("action_std",)}
"""Other inputs that tell the same; they go with their group."""

DILATIONS = ((1,), (1, 2), (1, 2, 4), (1, 2, 4, 8))
"""Layers of the temporal predictor's network; its window is 1 + 2 * their sum."""

KINDS = ("signals", "latent", "privileged", "window", "ensemble")
"""Studies that `ablate` knows."""

FULL = "full"


@dataclass(frozen=True)
class Variant:
    """One row of an ablation.

    Attributes:
        name: of the row.
        settings: of its training.
        change: of the data, before training and evaluation; None: as they are.
    """

    name: str
    settings: RunSettings
    change: Callable[[StepData], StepData] | None = None


def variants(settings: RunSettings, kinds: tuple[str, ...], members: int) -> Iterator[Variant]:
    """All rows of the studies that are asked for, the full predictor first.

    Args:
        settings: of the full predictor.
        kinds: some of KINDS.
        members: of the recorded ensemble; 0: its size cannot be varied.
    """
    yield Variant(FULL, settings)
    if "signals" in kinds:
        yield from _signals(settings)
    if "latent" in kinds and "embedding" in settings.input_groups:
        others = tuple(group for group in settings.input_groups if group != "embedding")
        if others:
            yield Variant("without latent", _with(settings, inputs=others))
        yield Variant("latent only", _with(settings, inputs=("embedding",)))
    if "privileged" in kinds and settings.predictor == "temporal":
        yield _privileged(settings)
    if "window" in kinds and settings.predictor == "temporal":
        yield from _windows(settings)
    if "ensemble" in kinds:
        for size in range(1, members + 1):
            words = "member" if size == 1 else "members"
            yield Variant(
                f"{size} {words}", settings, lambda data, size=size: with_members(data, size)
            )


def _signals(settings: RunSettings) -> Iterator[Variant]:
    names = settings.signal_names
    reads_signals = "signals" in settings.input_groups
    for group, of_group in SIGNAL_GROUPS.items():
        if not reads_signals:
            return
        left = tuple(name for name in names if name not in of_group)
        dropped = INPUTS_OF_GROUP.get(group, ())
        inputs = tuple(name for name in settings.input_groups if name not in dropped)
        if not left or (left, inputs) == (names, settings.input_groups):
            continue
        yield Variant(f"without {group}", _with(settings, signals=left, inputs=inputs))
    for group, of_group in SIGNAL_GROUPS.items():
        kept = tuple(name for name in names if name in of_group)
        if not kept:
            continue
        yield Variant(f"only {group}", _with(settings, signals=kept, inputs=("signals", "valid")))
    if "proprioception" in settings.input_groups:
        others = tuple(name for name in settings.input_groups if name != "proprioception")
        yield Variant("without proprioception", _with(settings, inputs=others))


def _privileged(settings: RunSettings) -> Variant:
    """The scene is exact, and there is little of it: no noise, no dropout, no probe."""
    network = {"embedding_noise": 0.0, "embedding_dropout": 0.0, "member_dropout": 0.0}
    inputs = tuple(dict.fromkeys((*settings.input_groups, "embedding")))
    training = dataclasses.replace(settings.training, linear_probe=False, auxiliary_weight=0.0)
    changed = _with(
        settings, inputs=inputs, network={**settings.network, **network}, training=training
    )
    return Variant("true scene instead of the latent", changed, with_true_scene)


def _windows(settings: RunSettings) -> Iterator[Variant]:
    config = settings.network_config()
    if not isinstance(config, TemporalConfig) or config.core != "tcn":
        return
    for dilations in DILATIONS:
        if dilations != config.dilations:
            network = {**settings.network, "dilations": dilations}
            yield Variant(
                f"window of {1 + 2 * sum(dilations)} steps", _with(settings, network=network)
            )


def _with(settings: RunSettings, **changes: object) -> RunSettings:
    """Settings with changes; without the latent there is nothing to probe."""
    changed = dataclasses.replace(settings, **changes)
    if "embedding" in changed.input_groups:
        return changed
    training = dataclasses.replace(changed.training, linear_probe=False)
    return dataclasses.replace(changed, training=training)
