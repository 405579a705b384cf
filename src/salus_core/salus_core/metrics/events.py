# SPDX-License-Identifier: Apache-2.0
"""Figures of events: was the failure announced, how long before, and at what price?"""

from dataclasses import dataclass

import numpy as np

from salus_core.curves import first_alarm, rising_edges
from salus_core.metrics.bootstrap import LEVEL, EpisodeBootstrap, Estimate, estimate

MIN_LEAD_S = 0.2
"""An alarm later than this before the onset is too late to act [s]."""

RECENT_S = 2.0
"""An alarm earlier than this before the onset may not have been about this failure [s]."""


@dataclass(frozen=True)
class EventFigures:
    """Figures of alarms against onsets.

    Attributes:
        onsets: failures that count.
        recall: share of onsets whose episode's first alarm came MIN_LEAD_S or more ahead.
        recent_recall: share of onsets with a step in alarm between RECENT_S and MIN_LEAD_S ahead:
            what an alarm that is forgotten after RECENT_S would have caught.
        lead_median: of the first alarm ahead of the onset, over the recalled onsets [s].
        lead_p10: the 10th percentile of the same [s].
        false_alarms_per_hour: beginnings of alarms in successful episodes per hour of them.
        leads: (R,) of every recalled onset [s], for a histogram.
    """

    onsets: int
    recall: Estimate
    recent_recall: Estimate
    lead_median: Estimate
    lead_p10: Estimate
    false_alarms_per_hour: Estimate
    leads: np.ndarray


def event_figures(
    alarm: np.ndarray,
    start: np.ndarray,
    length: np.ndarray,
    onset: np.ndarray,
    failed: np.ndarray,
    succeeded: np.ndarray,
    control_period: float,
    bootstrap: EpisodeBootstrap,
    level: float = LEVEL,
) -> EventFigures:
    """Figures of a step-wise alarm.

    Args:
        alarm: (N,) bool.
        start: (E,) first step of each episode.
        length: (E,) its steps.
        onset: (E,) step of the failure; only read where failed.
        failed: (E,) bool, onsets that count.
        succeeded: (E,) bool, successful operation that counts.
        control_period: seconds per step.
        bootstrap: over the E episodes.
        level: coverage of the intervals.
    """
    least = int(np.ceil(MIN_LEAD_S / control_period - 1e-6))
    most = int(np.floor(RECENT_S / control_period + 1e-6))
    first = first_alarm(alarm, start, length)
    lead = np.where(failed & (first >= 0), onset - first, -1)
    recalled = lead >= least
    recent = np.array(
        [
            bool(alarm[s + max(0, t - most) : s + min(n, max(0, t - least + 1))].any())
            if f
            else False
            for s, n, t, f in zip(start, length, onset, failed, strict=True)
        ]
    )
    hours = np.where(succeeded, length * control_period / 3600.0, 0.0)
    false = np.where(succeeded, rising_edges(alarm, start, length), 0)
    seconds = lead * control_period
    return EventFigures(
        onsets=int(failed.sum()),
        recall=bootstrap.ratio(recalled, failed, level),
        recent_recall=bootstrap.ratio(recent, failed, level),
        lead_median=_quantile(seconds, recalled, 0.5, bootstrap, level),
        lead_p10=_quantile(seconds, recalled, 0.1, bootstrap, level),
        false_alarms_per_hour=bootstrap.ratio(false, hours, level),
        leads=seconds[recalled],
    )


def _quantile(
    values: np.ndarray,
    chosen: np.ndarray,
    quantile: float,
    bootstrap: EpisodeBootstrap,
    level: float,
) -> Estimate:
    """Quantile over the chosen episodes; on a resample the smallest value that reaches it."""
    nan = float("nan")
    if not chosen.any():
        return estimate(nan, np.full(len(bootstrap.counts), nan), level)
    index = np.flatnonzero(chosen)
    index = index[np.argsort(values[index], kind="stable")]
    weight = np.cumsum(bootstrap.counts[:, index], axis=1)
    total = weight[:, -1]
    place = (weight < quantile * total[:, None]).sum(axis=1)
    drawn = values[index][np.minimum(place, len(index) - 1)]
    value = float(np.quantile(values[index], quantile, method="inverted_cdf"))
    return estimate(value, np.where(total > 0, drawn, nan), level)
