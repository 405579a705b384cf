# SPDX-License-Identifier: Apache-2.0
"""Evaluation of methods on recorded episodes: figures by target, group, alarm; sanity checks."""

from salus_core.evaluation.alarms import (
    ALPHAS,
    TIMEOUTS,
    alarm_figures,
    alpha_figures,
    episode_figures,
    fit_band,
)
from salus_core.evaluation.figures import (
    AlarmFigures,
    AlphaFigures,
    EpisodeFigures,
    MethodFigures,
    Pair,
    PartFigures,
    ReportFigures,
    StepFigures,
    json_schema,
    plain,
)
from salus_core.evaluation.groups import groups_of
from salus_core.evaluation.sanity_checks import (
    CLOCKS,
    clock_warnings,
    gain_warnings,
    timeout_note,
    undefined_figures,
    warnings_about_data,
)
from salus_core.evaluation.scored import (
    ANY_TARGET,
    MAIN_TARGET,
    CalibratedBaseline,
    Scored,
    positives,
    scored,
    targets_of,
)
from salus_core.evaluation.steps import (
    Thresholds,
    all_pairs,
    step_figures,
    validation_thresholds,
)

__all__ = [
    "ALPHAS",
    "ANY_TARGET",
    "CLOCKS",
    "MAIN_TARGET",
    "TIMEOUTS",
    "AlarmFigures",
    "AlphaFigures",
    "CalibratedBaseline",
    "EpisodeFigures",
    "MethodFigures",
    "Pair",
    "PartFigures",
    "ReportFigures",
    "Scored",
    "StepFigures",
    "Thresholds",
    "alarm_figures",
    "all_pairs",
    "alpha_figures",
    "clock_warnings",
    "episode_figures",
    "fit_band",
    "gain_warnings",
    "groups_of",
    "json_schema",
    "plain",
    "positives",
    "scored",
    "step_figures",
    "targets_of",
    "timeout_note",
    "undefined_figures",
    "validation_thresholds",
    "warnings_about_data",
]
