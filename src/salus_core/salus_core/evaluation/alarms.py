# SPDX-License-Identifier: Apache-2.0
"""Figures of the alarm: bands of several false-alarm rates, episodes, events."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from salus_core import metrics
from salus_core.calibration import ConformalBand, false_alarm_rate, fewest_episodes
from salus_core.curves import first_alarm
from salus_core.data import StepData
from salus_core.evaluation.figures import AlarmFigures, AlphaFigures, EpisodeFigures
from salus_core.evaluation.scored import Scored
from salus_core.metrics import EpisodeBootstrap

ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""False-alarm rates per episode at which balanced accuracy is taken (SAFE)."""

TIMEOUTS = ("without_timeout", "with_timeout")


@dataclass(frozen=True)
class Outcomes:
    """Which episodes count as what.

    Attributes:
        failed: (E,) bool.
        succeeded: (E,) bool.
        onset: (E,) step of the failure, -1: none.
    """

    failed: np.ndarray
    succeeded: np.ndarray
    onset: np.ndarray

    @classmethod
    def of(cls, data: StepData, chosen: np.ndarray, timeout: bool) -> "Outcomes":
        """Outcomes of some episodes; intervened and aborted ones count as neither.

        Args:
            data: E episodes.
            chosen: (E,) bool.
            timeout: whether a timeout is a failure; else such an episode counts as neither.
        """
        table = data.episodes
        known = chosen & ~table.intervened
        failed = known & table.failed & (timeout | ~table.timed_out)
        return cls(failed, known & table.succeeded, table.onset_step)


def fit_band(
    method: Scored, calibration: StepData, alpha: float, shape: str = "functional"
) -> ConformalBand | None:
    """Band of a method from the band's half of the calibration split; None: too few episodes."""
    table = calibration.episodes
    good = table.succeeded & ~table.intervened
    if good.sum() < fewest_episodes(alpha, shape):
        return None
    return ConformalBand.fit(
        method.score,
        table.start[good],
        table.length[good],
        alpha,
        int(table.max_steps.max()) or None,
        shape,
    )


def episode_figures(
    method: Scored, data: StepData, chosen: np.ndarray, timeout: bool, bootstrap: EpisodeBootstrap
) -> EpisodeFigures:
    """ROC-AUC of the largest score up to T_min against the outcome (SAFE).

    T_min is the shortest *successful* episode of the task. SAFE takes the shortest of all, which
    is a success in its data, where failures run to the limit; here a collision ends an episode
    early. A failed episode shorter than T_min counts up to its onset, which can only lower its
    score. `auroc_strict` has the shortest of all.
    """
    outcomes = Outcomes.of(data, chosen, timeout)
    table = data.episodes
    counts = outcomes.failed | outcomes.succeeded
    figures: dict[str, Any] = {
        "failed": int(outcomes.failed.sum()),
        "succeeded": int(outcomes.succeeded.sum()),
    }
    onset = np.where(outcomes.failed, np.maximum(outcomes.onset, 1), table.length)
    for name, those in (("auroc", outcomes.succeeded), ("auroc_strict", counts)):
        if not those.any():
            continue
        limit = metrics.shortest(np.minimum(table.length, onset), table.task, those)
        figures[name] = metrics.episode_auroc(
            method.score,
            data.episode,
            data.step,
            np.minimum(limit, onset),
            outcomes.failed,
            counts,
            bootstrap,
        )
        figures[f"t_min_{name}"] = tuple(sorted({int(value) for value in limit[counts]}))
    return EpisodeFigures(**figures)


def alarm_figures(
    alarm: np.ndarray,
    data: StepData,
    chosen: np.ndarray,
    timeout: bool,
    bootstrap: EpisodeBootstrap,
) -> AlarmFigures:
    """Figures of episodes and events of an alarm (N,) bool."""
    outcomes = Outcomes.of(data, chosen, timeout)
    table = data.episodes
    first = first_alarm(alarm, table.start, table.length)
    whole = metrics.alarm_figures(
        first, outcomes.onset, outcomes.failed, outcomes.succeeded, bootstrap
    )
    events = metrics.event_figures(
        alarm,
        table.start,
        table.length,
        outcomes.onset,
        outcomes.failed,
        outcomes.succeeded,
        data.control_period,
        bootstrap,
    )
    return AlarmFigures(
        **{
            one.name: getattr(source, one.name)
            for source in (whole, events)
            for one in fields(source)
            if one.name not in ("recall", "leads")
        },
        episode_recall=whole.recall,
        recall=events.recall,
        leads=tuple(events.leads.tolist()),
    )


def alpha_figures(
    method: Scored,
    data: StepData,
    calibration_method: Scored,
    calibration: StepData,
    bootstrap: EpisodeBootstrap,
    shape: str = "functional",
) -> tuple[AlphaFigures, ...]:
    """For each of ALPHAS: what the band promises and what the alarm does on the data.

    Args:
        method: scores of the data.
        data: held-out episodes.
        calibration_method: scores of the same method on the calibration episodes.
        calibration: episodes of the band.
        bootstrap: over the data's episodes.
        shape: of the band.
    """
    everyone = np.ones(len(data.episodes), bool)
    table = data.episodes
    good = table.succeeded & ~table.intervened
    found = []
    for alpha in ALPHAS:
        band = fit_band(calibration_method, calibration, alpha, shape)
        if band is None or not good.any():
            continue
        alarm = band.alarm(method.score, data.step)
        judged = false_alarm_rate(band, first_alarm(alarm, table.start, table.length)[good] >= 0)
        figures = {
            name: replace(
                alarm_figures(alarm, data, everyone, name == "with_timeout", bootstrap), leads=()
            )
            for name in TIMEOUTS
        }
        row = {**vars(judged), "rate": judged.rate, "as_promised": judged.as_promised, **figures}
        found.append(AlphaFigures(conformal_episodes=band.episodes, **row))
    return tuple(found)
