# SPDX-License-Identifier: Apache-2.0
"""Figures of a cross-validated predictor, each of episodes that are new to the member asked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from salus_core.calibration import CrossConformal, fewest_episodes
from salus_core.data import DataError, StepData
from salus_core.data.fractions import dealt
from salus_core.metrics import EpisodeBootstrap, Estimate, auroc, estimate, peak, shortest
from salus_core.predictors.features import InputError
from salus_core.predictors.training.configuration import RunSettings
from salus_core.predictors.training.cross_validation import (
    CrossValidated,
    cross_validate,
    largest,
)

FRACTIONS = (0.25, 0.5)
"""Of the episodes, for the learning curve; all of them are its last point."""
LEAST_EPISODES = 15
"""Of a point of the learning curve."""
REPLICATES = 1000
BODY = ("proprioception", "action")
"""Inputs of the row that knows nothing of the policy's signals and latents."""


def cross_figures(
    settings: RunSettings,
    data: StepData,
    found: CrossValidated,
    device: torch.device,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """ROC-AUC with peers, recall at the promised false-alarm rate, learning curve: JSON values.

    Args:
        settings: of the run.
        data: that it learned from.
        found: of it.
        device: for the trainings that the figures need.
        progress: called after each member of those.
    """
    table = data.episodes
    counts = found.folds >= 0
    bootstrap = EpisodeBootstrap(len(table), REPLICATES)
    limit = t_min(data, counts)

    def ranked(risk: np.ndarray) -> tuple[Estimate, Estimate]:
        highest = peak(np.nan_to_num(risk), data.episode, data.step, limit, floor=0.0)
        return ranking(highest, table.failed, table.task, counts, bootstrap)

    rows = {"outcome": ranked(found.risk)}
    rows["task prior"] = ranking(
        _prior(data, found.folds), table.failed, table.task, counts, bootstrap
    )
    try:
        body = cross_validate(dataclasses.replace(settings, inputs=BODY), data, device, progress)
        rows["proprioception"] = ranked(body.risk)
    except InputError:
        pass  # the robot's state was not recorded
    return {
        "episodes": int(counts.sum()),
        "failed": int(table.failed[counts].sum()),
        "t_min": sorted({int(steps) for steps in limit[counts]}),
        "roc_auc": {name: both[0].to_dict() for name, both in rows.items()},
        "roc_auc_within_task": {name: both[1].to_dict() for name, both in rows.items()},
        "alarm": _alarm(found, data, bootstrap),
        "learning_curve": _curve(settings, data, found, rows["outcome"][0], device, progress),
    }


def verdict(figures: dict[str, Any], alpha: float) -> str:
    """What a person should know, in a few sentences."""
    whole = figures["roc_auc"]["outcome"]
    said = (
        f"With {figures['episodes']} episodes ({figures['failed']} failed): ROC-AUC "
        f"{_with_interval(whole)} of episodes that were new, at the shortest successful episode"
    )
    others = [
        f"{name} {_with_interval(value)}"
        for name, value in figures["roc_auc"].items()
        if name != "outcome"
    ]
    said += f" ({'; '.join(others)}). "
    alarm = figures["alarm"]
    if alarm is None:
        needed = fewest_episodes(alpha, "constant")
        said += (
            f"No alarm: a false-alarm rate of {alpha:g} needs {needed} successful episodes; "
            "record more or allow a larger calibration.alpha. "
        )
    else:
        said += (
            f"The alarm announces {_with_interval(alarm['recall'])} of the failures at a "
            f"false-alarm rate of {alpha:g} per successful episode (guaranteed: at most "
            f"{alarm['bound']:.2f}). "
        )
    return said + _more_episodes(figures["learning_curve"])


def t_min(data: StepData, counts: np.ndarray) -> np.ndarray:
    """T_min of each episode's task, not after its onset: (E,)."""
    table = data.episodes
    onset = np.where(table.failed, np.maximum(table.onset_step, 1), table.length)
    end = np.minimum(table.length, onset)
    return np.minimum(shortest(end, table.task, counts & table.succeeded), onset)


def ranking(
    score: np.ndarray,
    failed: np.ndarray,
    task: np.ndarray,
    counts: np.ndarray,
    bootstrap: EpisodeBootstrap,
) -> tuple[Estimate, Estimate]:
    """ROC-AUC of episodes' scores over all tasks and within tasks, weighted by pairs."""
    chosen = np.flatnonzero(counts)
    pooled = auroc(score[chosen], failed[chosen], chosen, bootstrap)
    value, replicates, pairs = 0.0, np.zeros(len(bootstrap.counts)), 0.0
    for name in sorted(set(task[chosen].tolist())):
        ours = chosen[task[chosen] == name]
        weight = float(failed[ours].sum() * (~failed[ours]).sum())
        if weight:
            one = auroc(score[ours], failed[ours], ours, bootstrap)
            value, pairs = value + weight * one.value, pairs + weight
            replicates = replicates + weight * np.where(
                np.isfinite(one.replicates), one.replicates, one.value
            )
    if not pairs:
        nan = np.full(len(bootstrap.counts), np.nan)
        return pooled, estimate(math.nan, nan)
    return pooled, estimate(value / pairs, replicates / pairs)


def _prior(data: StepData, folds: np.ndarray) -> np.ndarray:
    """How often the task failed in the other folds: what is known without looking, (E,)."""
    table = data.episodes
    prior = np.zeros(len(table))
    for index in np.flatnonzero(folds >= 0):
        others = (folds >= 0) & (folds != folds[index])
        same = others & (table.task == table.task[index])
        prior[index] = table.failed[same if same.any() else others].mean()
    return prior


def _alarm(
    found: CrossValidated, data: StepData, bootstrap: EpisodeBootstrap
) -> dict[str, Any] | None:
    """Recall of failed episodes, by the member that each is new to, and the guarantee."""
    band = found.predictor.band
    if not isinstance(band, CrossConformal):
        return None
    table = data.episodes
    failed = (found.folds >= 0) & table.failed
    # All successes are compared with by one member here: its own are too few for a rank.
    below = np.searchsorted(np.sort(band.scores), np.nan_to_num(largest(found.risk, data)))
    detected = failed & (below / (band.episodes + 1) >= band.edge(0))
    return {
        "alpha": band.alpha,
        "bound": band.bound,
        "calibration_episodes": band.episodes,
        "recall": bootstrap.ratio(detected, failed).to_dict(),
    }


def _curve(
    settings: RunSettings,
    data: StepData,
    found: CrossValidated,
    whole: Estimate,
    device: torch.device,
    progress: Callable[[], None],
) -> list[dict[str, Any]]:
    """ROC-AUC after fewer episodes: mean of the members over the episodes that none has seen."""
    usable = np.flatnonzero(found.folds >= 0)
    points = []
    order = dealt(data.episodes.failed[usable], settings.seed)
    for fraction in curve_fractions(len(usable)):
        learned = usable[order[: round(fraction * len(usable))]]
        part = data.select(np.sort(learned))
        try:
            fewer = cross_validate(settings, part, device, progress)
        except DataError:
            continue  # so few that a fold would lack an outcome
        rest = data.select(np.setdiff1d(usable, learned))
        risks = fewer.predictor.member_risks(rest)
        limit = t_min(rest, np.ones(len(rest.episodes), bool))
        bootstrap = EpisodeBootstrap(len(rest.episodes), REPLICATES)
        everyone = np.arange(len(rest.episodes))
        each = [
            auroc(
                peak(risks[:, index], rest.episode, rest.step, limit, floor=0.0),
                rest.episodes.failed,
                everyone,
                bootstrap,
            )
            for index in range(risks.shape[1])
        ]
        mean = estimate(
            float(np.mean([one.value for one in each])),
            np.mean([one.replicates for one in each], axis=0),
        )
        points.append({"episodes": len(learned), "roc_auc": mean.to_dict()})
    return [*points, {"episodes": len(usable), "roc_auc": whole.to_dict()}]


def curve_fractions(episodes: int) -> tuple[float, ...]:
    """Those of FRACTIONS that leave enough episodes to learn from."""
    return tuple(one for one in FRACTIONS if one * episodes >= LEAST_EPISODES)


def _more_episodes(curve: Sequence[dict[str, Any]]) -> str:
    """What more episodes promise: 1 - AUC falls as a power of their number (fitted, not tested)."""
    points = [(p["episodes"], p["roc_auc"]["value"]) for p in curve]
    points = [(n, value) for n, value in points if value is not None and value < 1.0]
    if len(points) < 2:
        return "There are too few episodes for a learning curve."
    told = ", ".join(f"{value:.2f} from {n}" for n, value in points)
    slope, start = np.polyfit(np.log([n for n, _ in points]), np.log([1 - v for _, v in points]), 1)
    last, now = points[-1]
    twice = 1.0 - math.exp(start + slope * math.log(2 * last))
    if slope > -0.1 or twice < now + 0.005:
        return f"Learning curve: {told}; more episodes of this kind may change little."
    return f"Learning curve: {told}; {2 * last} episodes may give about {twice:.2f}."


def _with_interval(value: dict[str, float | None]) -> str:
    if value["value"] is None:
        return "not defined"
    if value["low"] is None or value["high"] is None:
        return f"{value['value']:.2f}"
    return f"{value['value']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"
