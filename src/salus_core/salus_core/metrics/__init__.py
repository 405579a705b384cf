# SPDX-License-Identifier: Apache-2.0
"""Figures of forecasts and alarms: arrays in, figures with intervals out."""

from salus_core.curves import first_alarm, pad_curves, rising_edges
from salus_core.metrics.bootstrap import EpisodeBootstrap, Estimate, difference, estimate
from salus_core.metrics.episodes import AlarmFigures, alarm_figures, episode_auroc, peak, shortest
from salus_core.metrics.events import EventFigures, event_figures
from salus_core.metrics.probabilities import Reliability, brier, calibration_error, reliability
from salus_core.metrics.ranking import auroc, average_precision
from salus_core.metrics.thresholded import best_f1_threshold, decisions

__all__ = [
    "AlarmFigures",
    "EpisodeBootstrap",
    "Estimate",
    "EventFigures",
    "Reliability",
    "alarm_figures",
    "auroc",
    "average_precision",
    "best_f1_threshold",
    "brier",
    "calibration_error",
    "decisions",
    "difference",
    "episode_auroc",
    "estimate",
    "event_figures",
    "first_alarm",
    "pad_curves",
    "peak",
    "reliability",
    "rising_edges",
    "shortest",
]
