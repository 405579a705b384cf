# SPDX-License-Identifier: Apache-2.0
"""The figures of a report, typed, as JSON, and the JSON schema that follows from their types."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from salus_core.metrics import Estimate

Pair = tuple[str, int]
"""A target and the index of a horizon; "TARGET@SECONDSs" in JSON."""


@dataclass(frozen=True)
class StepFigures:
    """Of the steps of some episodes, for one target and horizon; None: not defined or not asked.

    Attributes:
        steps: whose label is known.
        positives: steps that a failure of the target follows within the horizon.
        episodes: with a positive step.
        base_rate: share of positives.
        auroc: area under the ROC curve.
        average_precision: a random score has the base rate.
        precision: at `threshold`.
        recall: at `threshold`.
        f1: at `threshold`.
        threshold: of the best F1 on the validation split.
        brier: mean squared error, of a method with probabilities.
        ece: expected calibration error, bins of equal width.
        ece_equal_mass: the same, bins of equally many steps.
    """

    steps: int
    positives: int
    episodes: int
    base_rate: float
    auroc: Estimate | None = None
    average_precision: Estimate | None = None
    precision: Estimate | None = None
    recall: Estimate | None = None
    f1: Estimate | None = None
    threshold: float | None = None
    brier: Estimate | None = None
    ece: Estimate | None = None
    ece_equal_mass: Estimate | None = None


@dataclass(frozen=True)
class EpisodeFigures:
    """Of the largest score up to T_min against the outcome.

    Attributes:
        failed: episodes.
        succeeded: episodes.
        auroc: T_min is the shortest successful episode of the task.
        t_min_auroc: the values of that T_min [steps].
        auroc_strict: T_min is the shortest episode of all.
        t_min_auroc_strict: the values of that T_min [steps].
    """

    failed: int
    succeeded: int
    auroc: Estimate | None = None
    t_min_auroc: tuple[int, ...] = ()
    auroc_strict: Estimate | None = None
    t_min_auroc_strict: tuple[int, ...] = ()


@dataclass(frozen=True)
class AlarmFigures:
    """Of an alarm, per episode and per onset: see the classes of `salus_core.metrics`."""

    episode_recall: Estimate
    false_alarm_rate: Estimate
    balanced_accuracy: Estimate
    detection_time: Estimate
    onsets: int
    recall: Estimate
    recent_recall: Estimate
    lead_median: Estimate
    lead_p10: Estimate
    false_alarms_per_hour: Estimate
    leads: tuple[float, ...] = ()


@dataclass(frozen=True)
class AlphaFigures:
    """What a threshold for one false-alarm rate promises and does: see `FalseAlarmRate`."""

    alpha: float
    conformal_episodes: int
    alarms: int
    episodes: int
    low: float
    high: float
    expected_low: float
    expected_high: float
    rate: float
    as_promised: bool
    without_timeout: AlarmFigures
    with_timeout: AlarmFigures


@dataclass(frozen=True)
class PartFigures:
    """Of one method on one part of the data.

    Attributes:
        steps: by group and by target and horizon.
        episodes: by "without_timeout" or "with_timeout", and by group.
        alarm: the same; empty: there is no alarm.
        loss: AUROC of the test part minus this one's, of a held-out part.
    """

    steps: dict[str, dict[Pair, StepFigures]]
    episodes: dict[str, dict[str, EpisodeFigures]]
    alarm: dict[str, dict[str, AlarmFigures]]
    loss: dict[Pair, Estimate] = field(default_factory=dict)

    def of_steps(self, group: str, pair: Pair) -> StepFigures:
        """Figures of a group; without any where it has no steps."""
        return self.steps.get(group, {}).get(pair) or StepFigures(0, 0, 0, float("nan"))

    def of_episodes(self, timeout: str, group: str = "all") -> EpisodeFigures:
        """Figures of a group; without any where it has no episodes."""
        return self.episodes.get(timeout, {}).get(group) or EpisodeFigures(0, 0)


@dataclass(frozen=True)
class MethodFigures(PartFigures):
    """Of one method on the test part, and on the held-out ones.

    Attributes:
        alphas: of thresholds for several false-alarm rates; empty: no calibration episodes.
        held_out: by the part's name.
        conformal_episodes: successful episodes that the threshold was made from; None: none is.
        alarm_alpha: false-alarm rate of the threshold; None: there is none.
    """

    alphas: tuple[AlphaFigures, ...] = ()
    held_out: dict[str, PartFigures] = field(default_factory=dict)
    conformal_episodes: int | None = None
    alarm_alpha: float | None = None


@dataclass(frozen=True)
class DataCounts:
    """Of one part of the data: see `salus_core.data.describing`."""

    summary: str
    episodes: int
    steps: int
    succeeded: int
    failures: dict[str, int]
    seeds: tuple[int, ...]
    tasks: tuple[str, ...]
    runs: tuple[str, ...]
    policies: tuple[tuple[str, ...], ...]
    missing: dict[str, int]


@dataclass(frozen=True)
class ReportFigures:
    """The content of metrics.json, comparison.json and ablation.json, beside what names it.

    Attributes:
        data: counts by part.
        warnings: what a reader must know before any figure.
        notes: what is good to know.
        reference: method that the others are compared with.
        methods: by name.
        differences: reference minus other, paired: by the other's name and the figure.
        episode_differences: the same of episodes: by name and by with or without timeouts.
    """

    data: dict[str, DataCounts]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    reference: str
    methods: dict[str, MethodFigures]
    differences: dict[str, dict[str, Estimate | None]]
    episode_differences: dict[str, dict[str, Estimate | None]]


def plain(figures: Any, horizons: Sequence[float]) -> Any:
    """Figures as JSON values: estimates as value and interval, NaN and infinity as None.

    Args:
        figures: nested; keys may be (target, horizon index).
        horizons: [s], of those indices.
    """
    if isinstance(figures, Estimate):
        return figures.to_dict()
    if dataclasses.is_dataclass(figures):
        named = {f.name: getattr(figures, f.name) for f in dataclasses.fields(figures)}
        return plain(named, horizons)
    if isinstance(figures, Mapping):
        return {_key(key, horizons): plain(value, horizons) for key, value in figures.items()}
    if isinstance(figures, list | tuple):
        return [plain(value, horizons) for value in figures]
    if isinstance(figures, np.ndarray | np.generic):
        return plain(figures.tolist(), horizons)
    if isinstance(figures, float) and not np.isfinite(figures):
        return None
    return figures


def _key(key: Any, horizons: Sequence[float]) -> str:
    if isinstance(key, tuple):
        target, horizon = key
        return f"{target}@{horizons[horizon]:g}s"
    return str(key)


def json_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of a report's JSON file; entries that name it are further keys."""
    definitions: dict[str, Any] = {}
    top = _schema_of(ReportFigures, definitions)["$ref"].rpartition("/")[2]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Figures of salus evaluate, compare, ablate and replay",
        **definitions.pop(top),
        "additionalProperties": True,
        "$defs": definitions,
    }


_PLAIN_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}


def _schema_of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hint is float:  # NaN is null
        return {"type": ["number", "null"]}
    if hint in _PLAIN_TYPES:
        return {"type": _PLAIN_TYPES[hint]}
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        inner = _schema_of(arguments[0], definitions)
        return inner if "null" in inner.get("type", ()) else {"anyOf": [inner, {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    if origin is dict:
        return {
            "type": "object",
            "additionalProperties": _schema_of(arguments[1], definitions),
        }
    if hint.__name__ not in definitions:
        definitions[hint.__name__] = {}
        hints = {
            name: _schema_of(one, definitions)
            for name, one in typing.get_type_hints(hint).items()
            if name != "replicates"
        }
        definitions[hint.__name__] = {
            "type": "object",
            "properties": hints,
            "required": list(hints),
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{hint.__name__}"}


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=1))
