# SPDX-License-Identifier: Apache-2.0
"""What all reports share: fields, warnings, differences, head and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salus_core import evaluation
from salus_core.evaluation import TIMEOUTS, ReportFigures
from salus_core.evaluation.figures import DataCounts
from salus_core.metrics import Estimate
from salus_core.predictors.checkpoint import write_json
from salus_core.report.assess import Assessed, episode_difference, step_differences
from salus_core.report.sources import Parts


@dataclass(frozen=True)
class Document:
    """Figures of several methods on the same episodes.

    Attributes:
        title: of the document.
        about: entries for people and the JSON file: checkpoint, command, settings.
        parts: data.
        described: counts of each part.
        methods: the first one is what the others are compared with.
        remarks: why some method or figure is missing, and what rows mean.
        cautions: what speaks against the figures, beside what they show themselves.
    """

    title: str
    about: Mapping[str, Any]
    parts: Parts
    described: Mapping[str, Mapping[str, Any]]
    methods: Sequence[Assessed]
    remarks: Sequence[str] = ()
    cautions: Sequence[str] = ()

    def differences(self) -> dict[str, dict[str, Estimate | None]]:
        """First minus each other: steps within the longest horizon, all and natural; episodes."""
        first, *others = self.methods
        return {
            other.name: {
                **step_differences(first, other),
                **{
                    f"{name}_natural": gain
                    for name, gain in step_differences(first, other, "natural").items()
                },
                "episode_auroc": episode_difference(first, other, "without_timeout"),
            }
            for other in others
        }

    def warnings(self) -> list[str]:
        """What a reader must know before any figure."""
        first, *others = self.methods
        simple = {
            other.name: step_differences(first, other)
            for other in others
            if other.name in ("proprioception", *evaluation.CLOCKS)
        }
        return [
            *self.cautions,
            *evaluation.warnings_about_data(self.parts.test),
            *evaluation.clock_warnings(self._steps(), self.parts.test),
            *evaluation.gain_warnings(first.name, simple),
        ]

    def notes(self) -> list[str]:
        """What is good to know."""
        undefined = evaluation.undefined_figures(self.parts.test)
        for part, data in self.parts.held_out.items():
            undefined += evaluation.undefined_figures(data, part)
        return [*undefined, *evaluation.timeout_note(self._steps(), self.parts.test), *self.remarks]

    def figures(self) -> ReportFigures:
        """All figures."""
        first, *others = self.methods
        return ReportFigures(
            data={name: DataCounts(**counts) for name, counts in self.described.items()},
            warnings=tuple(self.warnings()),
            notes=tuple(self.notes()),
            reference=first.name,
            methods={method.name: method.figures for method in self.methods},
            differences=self.differences(),
            episode_differences={
                other.name: {
                    timeout: episode_difference(first, other, timeout) for timeout in TIMEOUTS
                }
                for other in others
            },
        )

    def _write_json(self, path: Path) -> None:
        horizons = self.parts.test.horizons
        write_json(path, {**self.about, **evaluation.plain(self.figures(), horizons)})

    def _head(self) -> list[str]:
        clocks = any(method.name in evaluation.CLOCKS for method in self.methods)
        return [
            f"# {self.title}",
            "\n".join(f"- {key}: {value}" for key, value in self.about.items()),
            "\n\n".join(f"**{sentence}**" for sentence in self.warnings())
            or (
                "No warning: no clock solves this data set."
                if clocks
                else "No clock was compared: what the step number alone explains is not known."
            ),
            "\n".join(f"- {sentence}" for sentence in self.notes()),
        ]

    def _steps(self) -> dict[str, dict[evaluation.Pair, evaluation.StepFigures]]:
        return {method.name: method.figures.steps["all"] for method in self.methods}
