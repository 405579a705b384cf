# SPDX-License-Identifier: Apache-2.0
"""Figures of whole episodes: would this one fail?"""

from dataclasses import dataclass

import numpy as np

from salus_core.metrics.bootstrap import LEVEL, EpisodeBootstrap, Estimate, estimate
from salus_core.metrics.ranking import auroc


def shortest(length: np.ndarray, task: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """T_min of each episode's task: steps of the shortest episode among those that count, (E,).

    Args:
        length: (E,) steps.
        task: (E,) name of each episode's task.
        counts: (E,) bool.

    Returns:
        For a task of which no episode counts, the shortest of all that do.
    """
    overall = length[counts].min() if counts.any() else length.min()
    result = np.full(len(length), overall)
    for name in set(task.tolist()):
        of_task = task == name
        if (of_task & counts).any():
            result[of_task] = length[of_task & counts].min()
    return result


def peak(
    score: np.ndarray,
    episode: np.ndarray,
    step: np.ndarray,
    limit: np.ndarray,
    floor: float = -np.inf,
) -> np.ndarray:
    """Largest score of each episode over its steps before a limit, (E,).

    Args:
        score: (N,).
        episode: (N,) int.
        step: (N,) within the episode.
        limit: (E,) first step that does not count.
        floor: of an episode without such a step.
    """
    result = np.full(len(limit), floor)
    early = step < limit[episode]
    np.maximum.at(result, episode[early], score[early])
    return result


def episode_auroc(
    score: np.ndarray,
    episode: np.ndarray,
    step: np.ndarray,
    limit: np.ndarray,
    failed: np.ndarray,
    counts: np.ndarray,
    bootstrap: EpisodeBootstrap,
    level: float = LEVEL,
) -> Estimate:
    """ROC-AUC of the largest score up to a limit against the episode's outcome (SAFE, sec. 5).

    Args:
        score: (N,).
        episode: (N,) int.
        step: (N,) within the episode.
        limit: (E,), T_min and not after the onset: length would leak the outcome, as a timeout
            always runs to the end.
        failed: (E,) bool.
        counts: (E,) bool; the others (aborted, intervened, another group) are left out.
        bootstrap: over the E episodes.
        level: coverage of the interval.
    """
    lowest = float(score.min()) if len(score) else 0.0
    highest = peak(score, episode, step, limit, floor=lowest)
    chosen = np.flatnonzero(counts)
    if not len(chosen):
        nan = float("nan")
        return estimate(nan, np.full(len(bootstrap.counts), nan), level)
    return auroc(highest[chosen], failed[chosen], chosen, bootstrap, level)


@dataclass(frozen=True)
class AlarmFigures:
    """What an alarm does to whole episodes.

    Attributes:
        recall: share of failed episodes with an alarm before the onset.
        false_alarm_rate: share of successful episodes with an alarm.
        balanced_accuracy: mean of recall and 1 - false_alarm_rate.
        detection_time: mean over failed episodes of first alarm / onset; 1 if missed.
    """

    recall: Estimate
    false_alarm_rate: Estimate
    balanced_accuracy: Estimate
    detection_time: Estimate


def alarm_figures(
    first: np.ndarray,
    onset: np.ndarray,
    failed: np.ndarray,
    succeeded: np.ndarray,
    bootstrap: EpisodeBootstrap,
    level: float = LEVEL,
) -> AlarmFigures:
    """Figures of the first alarm of each episode (SAFE, sec. 5.1).

    Args:
        first: (E,) step of the first alarm; -1: none.
        onset: (E,) step of the failure; only read where failed.
        failed: (E,) bool, episodes that count as failures.
        succeeded: (E,) bool, episodes that count as successes.
        bootstrap: over the E episodes.
        level: coverage of the intervals.
    """
    detected = failed & (first >= 0) & (first < onset)
    false = succeeded & (first >= 0)
    early = np.ones(len(first))
    early[detected] = first[detected] / onset[detected]
    recall = bootstrap.ratio(detected, failed, level)
    false_alarms = bootstrap.ratio(false, succeeded, level)
    return AlarmFigures(
        recall=recall,
        false_alarm_rate=false_alarms,
        balanced_accuracy=estimate(
            (recall.value + 1.0 - false_alarms.value) / 2.0,
            (recall.replicates + 1.0 - false_alarms.replicates) / 2.0,
            level,
        ),
        detection_time=bootstrap.ratio(np.where(failed, early, 0.0), failed, level),
    )
