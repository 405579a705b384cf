# SPDX-License-Identifier: Apache-2.0
"""Training of `outcome`: every episode teaches all members but one, and is new to that one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from salus_core.calibration.cross_conformal import CrossConformal
from salus_core.data import DataError, StepData
from salus_core.predictors.features import raw_columns
from salus_core.predictors.model import NeuralPredictor
from salus_core.predictors.outcome import Member, Outcome
from salus_core.predictors.training.configuration import RunSettings
from salus_core.predictors.training.trainer import make_predictor

_LEAST_SLOPE = 0.05
"""Of the map to probabilities: one that does not rise would turn the order of episodes round."""
_PROJECTED = 50_000
"""Steps that the principal components are taken from at most."""


@dataclass(frozen=True)
class CrossValidated:
    """A trained predictor and what its members say of the episodes that are new to them.

    Attributes:
        predictor: with its threshold, unless too few episodes succeeded.
        folds: (E,) int64, the member that each episode is new to; -1: it taught nothing.
        risk: (N,) float32, of that member, that the episode fails; NaN where the fold is -1.
    """

    predictor: NeuralPredictor
    folds: np.ndarray
    risk: np.ndarray


def assign_folds(data: StepData, members: int, seed: int) -> np.ndarray:
    """Deal the episodes out, failed and successful ones evenly: (E,) int64.

    Episodes that repeat each other (`group_of`) share a fold. Aborted episodes and those with an
    intervention get -1: whether they would have failed is not known.

    Raises:
        DataError: fewer than two episodes failed, or fewer than there are members succeeded.
    """
    table = data.episodes
    usable = (table.failed | table.succeeded) & ~table.intervened
    names = np.where(table.groups == "", [f"#{i}" for i in range(len(table))], table.groups)
    failed: dict[str, bool] = {}
    for name, fails in zip(names[usable], table.failed[usable], strict=True):
        failed[name] = failed.get(name, False) or bool(fails)
    counts = {kind: sum(fails == kind for fails in failed.values()) for kind in (True, False)}
    if counts[True] < 2 or counts[False] < members:
        raise DataError(
            f"{counts[True]} episodes failed and {counts[False]} succeeded (repeated ones count "
            f"once): at least 2 must fail and {members} succeed; record more, or label them with "
            "'salus label'"
        )
    rng = np.random.default_rng(seed)
    fold: dict[str, int] = {}
    for kind in (True, False):
        ours = [name for name, fails in failed.items() if fails == kind]
        for place, index in enumerate(rng.permutation(len(ours))):
            fold[ours[index]] = place % members
    return np.where(usable, [fold.get(name, -1) for name in names], -1).astype(np.int64)


def cross_validate(
    settings: RunSettings,
    data: StepData,
    device: torch.device,
    progress: Callable[[], None] = lambda: None,
) -> CrossValidated:
    """Train all members, and make the alarm's threshold from episodes that are new to each.

    The scaling of the inputs and the principal components are those of all steps; they know no
    outcome.

    Args:
        settings: of the run.
        data: every episode that there is to learn from.
        device: that the members are trained on.
        progress: called after each member.

    Raises:
        DataError: too few episodes, see `assign_folds`.
        InputError: the data lack an input.
        FloatingPointError: a loss is not finite.
    """
    predictor = make_predictor(settings, data)
    network = _network(predictor)
    if settings.calibration.failures:
        names = settings.calibration.failures
        predictor.alarm_types = tuple(predictor.taxonomy.code(name) for name in names)
    folds = assign_folds(data, len(network.members), settings.seed)
    inputs = _inputs(predictor, data).to(device)
    for index, member in enumerate(network.members):
        assert isinstance(member, Member)
        torch.manual_seed(settings.seed * len(network.members) + index)
        learned = np.flatnonzero((folds >= 0) & (folds != index))
        _train(member.to(device), inputs, data, learned, settings)
        member.to("cpu").eval().requires_grad_(False)
        progress()
    network.eval().requires_grad_(False)
    risks = predictor.member_risks(data)
    fold = folds[data.episode]
    risk = np.where(fold >= 0, risks[np.arange(len(data)), np.maximum(fold, 0)], np.nan)
    risk = risk.astype(np.float32)
    _scale(predictor, risk, data)
    predictor.band = _threshold(risk, data, folds, settings)
    return CrossValidated(predictor, folds, risk)


def largest(risk: np.ndarray, data: StepData) -> np.ndarray:
    """Largest risk of each episode, (E,); NaN where it is not known."""
    table = data.episodes
    return np.maximum.reduceat(risk, table.start) if len(table) else np.empty(0)


def _network(predictor: NeuralPredictor) -> Outcome:
    network = predictor.network
    assert isinstance(network, Outcome)
    return network


def _inputs(predictor: NeuralPredictor, data: StepData) -> torch.Tensor:
    """What the members read of all steps, (N, F); sets the projection of the latent first."""
    network, layout, normaliser = _network(predictor), predictor.layout, predictor.normaliser
    columns = torch.from_numpy(normaliser.columns(raw_columns(layout, data)))
    if network.projection is None:
        return columns
    some = np.linspace(0, len(data) - 1, min(len(data), _PROJECTED)).astype(np.int64)
    network.fit_projection(torch.from_numpy(normaliser.embedding(data.embedding[some])))
    blocks = np.array_split(np.arange(len(data)), max(1, len(data) // _PROJECTED))
    with torch.no_grad():
        return torch.cat(
            [
                network.inputs(
                    columns[rows], torch.from_numpy(normaliser.embedding(data.embedding[rows]))
                )
                for rows in blocks
            ]
        )


def _train(
    member: Member,
    inputs: torch.Tensor,
    data: StepData,
    episodes: np.ndarray,
    settings: RunSettings,
) -> None:
    """Updates on steps of random episodes, half of them failed; the rate falls to 0."""
    how, table = settings.training, data.episodes
    rng = np.random.default_rng(settings.seed)
    kinds = [episodes[table.failed[episodes]], episodes[~table.failed[episodes]]]
    optimiser = torch.optim.AdamW(
        member.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, how.updates)
    half = max(1, how.batch_size // 2)
    member.train()
    for _ in range(how.updates):
        drawn = np.concatenate([rng.choice(ours, half) for ours in kinds])
        length = np.where(
            table.failed[drawn], np.maximum(table.onset_step[drawn], 1), table.length[drawn]
        )
        length = np.minimum(length, table.length[drawn])
        rows = table.start[drawn] + (rng.uniform(size=len(drawn)) * length).astype(np.int64)
        outputs = member(inputs[torch.from_numpy(rows).to(inputs.device)])
        fails = torch.from_numpy(table.failed[drawn]).to(outputs)
        types = torch.from_numpy(table.failure[drawn[:half]].astype(np.int64) - 1).to(inputs.device)
        loss = nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], fails)
        loss = loss + how.outcome_head_weight * nn.functional.cross_entropy(
            outputs[:half, 1:], types
        )
        if not torch.isfinite(loss):
            raise FloatingPointError(
                "the loss is not finite: lower training.learning_rate or look at the data"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()


def _scale(predictor: NeuralPredictor, risk: np.ndarray, data: StepData) -> None:
    """Fit the map from risks to probabilities; every episode has the same weight."""
    known = np.isfinite(risk)
    safe = np.clip(risk[known].astype(np.float64), 1e-6, 1.0 - 1e-6)
    logit = np.log(safe) - np.log1p(-safe)
    weight = 1.0 / data.episodes.length[data.episode[known]]
    fitted = LogisticRegression(C=1e6).fit(
        logit[:, None], data.episodes.failed[data.episode[known]], weight
    )
    slope = max(float(fitted.coef_[0, 0]), _LEAST_SLOPE)
    _network(predictor).head.scaling.copy_(torch.tensor([slope, float(fitted.intercept_[0])]))


def _threshold(
    risk: np.ndarray, data: StepData, folds: np.ndarray, settings: RunSettings
) -> CrossConformal | None:
    """The alarm's threshold; None: so few successes bound no false-alarm rate so small."""
    good = np.flatnonzero((folds >= 0) & data.episodes.succeeded)
    band = CrossConformal(
        settings.calibration.alpha,
        largest(risk, data)[good].astype(np.float64),
        folds[good],
        settings.network_config().members,
    )
    return band if np.isfinite(band.edge(0)) else None
