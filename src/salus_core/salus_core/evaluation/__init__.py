"""Evaluation of methods on recorded episodes: figures by target, group and alarm, and the gate."""

from salus_core.evaluation.alarms import (
    ALPHAS,
    TIMEOUTS,
    alarm_figures,
    alpha_figures,
    episode_figures,
    fit_band,
)
from salus_core.evaluation.gate import (
    CLOCKS,
    clock_warnings,
    gain_warnings,
    timeout_note,
    warnings_about_data,
)
from salus_core.evaluation.groups import groups_of
from salus_core.evaluation.scored import (
    MAIN_TARGET,
    TARGETS,
    CalibratedBaseline,
    Scored,
    positives,
    scored,
)
from salus_core.evaluation.steps import (
    ALL_PAIRS,
    Thresholds,
    plain,
    step_figures,
    validation_thresholds,
)

__all__ = [
    "ALL_PAIRS",
    "ALPHAS",
    "CLOCKS",
    "MAIN_TARGET",
    "TARGETS",
    "TIMEOUTS",
    "CalibratedBaseline",
    "Scored",
    "Thresholds",
    "alarm_figures",
    "alpha_figures",
    "clock_warnings",
    "episode_figures",
    "fit_band",
    "gain_warnings",
    "groups_of",
    "plain",
    "positives",
    "scored",
    "step_figures",
    "timeout_note",
    "validation_thresholds",
    "warnings_about_data",
]
