# SPDX-License-Identifier: Apache-2.0
"""Markdown tables of figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from salus_core.evaluation import MAIN_TARGET, TIMEOUTS, AlarmFigures, AlphaFigures
from salus_core.metrics import Estimate
from salus_core.report.assess import Assessed


def target_words(target: str) -> str:
    """A target in words."""
    return "any but timeout" if target == MAIN_TARGET else target


def number(value: Any, digits: int = 3) -> str:
    """A figure with its interval in brackets; a dash where it is not defined."""
    if isinstance(value, Estimate):
        if np.isnan(value.value):
            return "–"
        text = f"{value.value:.{digits}f}"
        if np.isnan(value.low):
            return text
        return f"{text} [{value.low:.{digits}f}, {value.high:.{digits}f}]"
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "–"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def signed(value: Estimate | None) -> str:
    """A difference with its interval."""
    if value is None or np.isnan(value.value):
        return "–"
    text = f"{value.value:+.3f}"
    return text if np.isnan(value.low) else f"{text} [{value.low:+.3f}, {value.high:+.3f}]"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column to the left, the others to the right."""
    lines = [
        "| " + " | ".join(header) + " |",
        "|" + "|".join(["---"] + ["---:"] * (len(header) - 1)) + "|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def data_table(parts: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Counts of each part, of `describe`."""
    parts = list(parts)
    types = list(dict.fromkeys(name for _, counts in parts for name in counts["failures"]))
    header = ["part", "episodes", "steps", "succeeded", *types, "seeds"]
    return table(
        header,
        (
            [
                name,
                *(str(counts[key]) for key in ("episodes", "steps", "succeeded")),
                *(str(counts["failures"][failure]) for failure in types),
                f"{counts['seeds'][0]}–{counts['seeds'][1]}",
            ]
            for name, counts in parts
        ),
    )


def missing_table(parts: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Steps of each part that lack an input, of `describe`."""
    parts = list(parts)
    inputs = list(dict.fromkeys(name for _, counts in parts for name in counts["missing"]))
    return table(
        ["part", "steps", *inputs],
        (
            [
                name,
                str(counts["steps"]),
                *(str(counts["missing"].get(one, "–")) for one in inputs),
            ]
            for name, counts in parts
        ),
    )


def step_table(method: Assessed, group: str = "all") -> str:
    """Steps of one method: a row per target and horizon."""
    figures = method.figures.steps[group]
    columns = {
        "AUROC": "auroc",
        "average precision": "average_precision",
        "base rate": "base_rate",
        "precision": "precision",
        "recall": "recall",
        "F1": "f1",
        "Brier": "brier",
        "ECE": "ece",
        "ECE, equal mass": "ece_equal_mass",
    }
    shown = [
        key
        for key in columns.values()
        if any(getattr(row, key) is not None for row in figures.values())
    ]
    header = ["failure", "within", "episodes", *(k for k, v in columns.items() if v in shown)]
    return table(
        header,
        (
            [
                target_words(target),
                f"{method.horizons[horizon]:g} s",
                str(row.episodes),
                *(
                    number(getattr(row, key), 4 if key in ("brier", "base_rate") else 3)
                    for key in shown
                ),
            ]
            for (target, horizon), row in figures.items()
            if row.positives
        ),
    )


def method_table(methods: Sequence[Assessed], group: str, pairs: Sequence[tuple[str, int]]) -> str:
    """Methods side by side: AUROC and average precision of some targets."""
    pairs = [
        pair
        for pair in pairs
        if any(method.figures.of_steps(group, pair).positives for method in methods)
    ]
    header = ["method"]
    for target, horizon in pairs:
        about = f"{target_words(target)}, {methods[0].horizons[horizon]:g} s"
        header += [f"AUROC: {about}", f"AP: {about}"]
    rows = []
    for method in methods:
        row = [method.name]
        for pair in pairs:
            figures = method.figures.of_steps(group, pair)
            row += [number(figures.auroc), number(figures.average_precision)]
        rows.append(row)
    return table(header, rows)


def episode_table(methods: Sequence[Assessed], group: str = "all") -> str:
    """Episodes: ROC-AUC at T_min with and without timeouts."""
    header = ["method"]
    for timeout in TIMEOUTS:
        words = timeout.replace("_", " ")
        header += [f"ROC-AUC at T_min, {words}", f"strict T_min, {words}"]
    rows = []
    for method in methods:
        row = [method.name]
        for timeout in TIMEOUTS:
            figures = method.figures.of_episodes(timeout, group)
            row += [number(figures.auroc), number(figures.auroc_strict)]
        rows.append(row)
    return table(header, rows)


ALARM_COLUMNS = {
    "onsets": ("onsets", 0),
    "recall, 0.2 s ahead or more": ("recall", 3),
    "recall, 0.2 to 2 s ahead": ("recent_recall", 3),
    "lead, median [s]": ("lead_median", 2),
    "lead, 10th percentile [s]": ("lead_p10", 2),
    "false-alarm rate per success": ("false_alarm_rate", 3),
    "false alarms per hour": ("false_alarms_per_hour", 1),
    "balanced accuracy": ("balanced_accuracy", 3),
    "detection time": ("detection_time", 3),
}


def alarm_table(rows: Iterable[tuple[str, AlarmFigures]]) -> str:
    """Alarms: a row per method, group or whatever the names are."""
    return table(
        ["", *ALARM_COLUMNS],
        (
            [
                name,
                *(number(getattr(figures, key), digits) for key, digits in ALARM_COLUMNS.values()),
            ]
            for name, figures in rows
        ),
    )


def alpha_table(rows: Sequence[AlphaFigures]) -> str:
    """What the band promises and what it does, over false-alarm rates."""
    header = [
        "alpha",
        "held-out successes with an alarm",
        "rate",
        "95 % interval of the rate",
        "expected of the nominal",
        "within",
        "recall",
        "balanced accuracy",
        "balanced accuracy, with timeout",
        "detection time",
    ]
    return table(
        header,
        (
            [
                f"{row.alpha:g}",
                f"{row.alarms} of {row.episodes}",
                f"{row.rate:.3f}",
                f"{row.low:.3f}–{row.high:.3f}",
                f"{row.expected_low:.3f}–{row.expected_high:.3f}",
                _judgement(row),
                number(row.without_timeout.episode_recall),
                number(row.without_timeout.balanced_accuracy),
                number(row.with_timeout.balanced_accuracy),
                number(row.without_timeout.detection_time),
            ]
            for row in rows
        ),
    )


def _judgement(row: AlphaFigures) -> str:
    if row.rate > row.expected_high:
        return "no, above"
    return "yes" if row.rate >= row.expected_low else "below"


def held_out_table(method: Assessed) -> str:
    """AUROC on the test split and on held-out ones, and what is lost."""
    header = ["failure", "within", "test"]
    parts = method.figures.held_out
    for part in parts:
        header += [part, f"lost on {part}"]
    rows = []
    for pair, figures in method.figures.steps["all"].items():
        target, horizon = pair
        if not figures.positives or (target != MAIN_TARGET and horizon != method.longest):
            continue
        row = [target_words(target), f"{method.horizons[horizon]:g} s", number(figures.auroc)]
        for part in parts.values():
            row += [
                number(part.of_steps("all", pair).auroc),
                signed(part.loss.get(pair)),
            ]
        rows.append(row)
    return table(header, rows)
