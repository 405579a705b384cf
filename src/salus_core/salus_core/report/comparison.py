"""One table of several methods on the same episodes, with paired differences to the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from salus_core import evaluation
from salus_core.evaluation import MAIN_TARGET
from salus_core.metrics import Estimate
from salus_core.predictors.checkpoint import write_json
from salus_core.report import tables
from salus_core.report.assess import (
    Assessed,
    episode_difference,
    step_differences,
    type_pairs,
)
from salus_core.report.sources import Parts

SHORTEST = 0


@dataclass(frozen=True)
class Comparison:
    """What `compare` and `ablate` write.

    Attributes:
        title: of the document.
        about: entries for people and metrics.json.
        parts: data.
        described: counts of each part.
        methods: the first one is what the others are compared with.
        remarks: why some method is missing, and what rows mean.
        cautions: what speaks against the figures, beside what they show themselves.
    """

    title: str
    about: Mapping[str, Any]
    parts: Parts
    described: Mapping[str, Mapping[str, Any]]
    methods: Sequence[Assessed]
    remarks: Sequence[str] = field(default_factory=tuple)
    cautions: Sequence[str] = field(default_factory=tuple)

    def warnings(self) -> list[str]:
        """What a reader must know before any figure."""
        steps = {method.name: method.figures["steps"]["all"] for method in self.methods}
        return [
            *self.cautions,
            *evaluation.warnings_about_data(self.parts.test),
            *evaluation.clock_warnings(steps, self.parts.test),
            *evaluation.gain_warnings(self.methods[0].name, self._simple_gains()),
        ]

    def _simple_gains(self) -> dict[str, dict[str, Estimate]]:
        first, *others = self.methods
        return {
            other.name: step_differences(first, other)
            for other in others
            if other.name in ("proprioception", *evaluation.CLOCKS)
        }

    def _no_warning(self) -> str:
        if any(method.name in evaluation.CLOCKS for method in self.methods):
            return "No warning: no clock solves this data set."
        return "No clock was compared: what the step number alone explains is not known."

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

    def write(self, folder: Path, name: str) -> str:
        """Write NAME.md and NAME.json.

        Returns:
            The document.
        """
        folder.mkdir(parents=True, exist_ok=True)
        document = self._document()
        (folder / f"{name}.md").write_text(document)
        content = {
            **self.about,
            "data": dict(self.described),
            "warnings": self.warnings(),
            "notes": list(self.remarks),
            "methods": {method.name: method.figures for method in self.methods},
            "reference": self.methods[0].name,
            "differences": self.differences(),
        }
        write_json(folder / f"{name}.json", evaluation.plain(content, self.parts.test.horizons))
        return document

    def _document(self) -> str:
        said = [f"**{sentence}**" for sentence in self.warnings()]
        first = self.methods[0].name
        of_types = type_pairs(self.parts.test.taxonomy, self.parts.test.horizons)
        parts = [
            f"# {self.title}",
            "\n".join(f"- {key}: {value}" for key, value in self.about.items()),
            "\n\n".join(said) if said else self._no_warning(),
            "\n".join(f"- {sentence}" for sentence in self.remarks),
            "Steps are about any failure but a timeout. Intervals: 95 %, bootstrap over episodes. "
            "AP: average precision. Thresholds of F1 are the best of the validation part.",
            tables.data_table(self.described.items()),
            "## All methods",
            self._main_table(),
            f"## Differences: `{first}` minus the other, paired",
            self._difference_table(),
            "## By type, within the longest horizon",
            tables.method_table(self.methods, "all", of_types),
            "## Episodes without an injected fault",
            tables.method_table(self.methods, "natural", of_types),
            "## Episodes",
            tables.episode_table(self.methods),
        ]
        alarmed = [method for method in self.methods if method.figures["alarm"]]
        if alarmed:
            parts += [
                "## Alarm, without timeouts",
                tables.alarm_table(
                    (method.name, method.figures["alarm"]["without_timeout"]["all"])
                    for method in alarmed
                ),
            ]
        parts += [
            f"## Held out: {part}\n\n" + self._held_out_table(part) for part in self.parts.held_out
        ]
        parts += ["## Steps without an input", tables.missing_table(self.described.items())]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _main_table(self) -> str:
        horizons = self.parts.test.horizons
        long_pair, short_pair = (MAIN_TARGET, len(horizons) - 1), (MAIN_TARGET, SHORTEST)
        longest = f"{horizons[-1]:g} s"
        header = [
            "method",
            f"AUROC {horizons[SHORTEST]:g} s",
            f"AUROC {longest}",
            f"AP {longest}",
            f"F1 {longest}",
            f"AUROC {longest}, natural",
            "episodes: ROC-AUC at T_min",
            "recall",
            "false-alarm rate",
            "lead, median [s]",
            "balanced accuracy",
        ]
        rows = []
        for method in self.methods:
            steps = method.figures["steps"]["all"]
            long, short = steps[long_pair], steps[short_pair]
            natural = method.figures["steps"].get("natural", {}).get(long_pair, {})
            alarm = method.figures["alarm"].get("without_timeout", {}).get("all", {})
            rows.append(
                [
                    method.name,
                    tables.number(short.get("auroc")),
                    tables.number(long.get("auroc")),
                    tables.number(long.get("average_precision")),
                    tables.number(long.get("f1")),
                    tables.number(natural.get("auroc")),
                    tables.number(
                        method.figures["episodes"]["without_timeout"]["all"].get("auroc")
                    ),
                    tables.number(alarm.get("recall")),
                    tables.number(alarm.get("false_alarm_rate")),
                    tables.number(alarm.get("lead_median"), 2),
                    tables.number(alarm.get("balanced_accuracy")),
                ]
            )
        return tables.table(header, rows)

    def _difference_table(self) -> str:
        header = ["other", "AUROC", "AP", "AUROC, natural", "AP, natural", "episodes: ROC-AUC"]
        keys = (
            "auroc",
            "average_precision",
            "auroc_natural",
            "average_precision_natural",
            "episode_auroc",
        )
        return tables.table(
            header,
            (
                [name, *(tables.signed(gains.get(key)) for key in keys)]
                for name, gains in self.differences().items()
            ),
        )

    def _held_out_table(self, part: str) -> str:
        horizons = self.parts.test.horizons
        longest = f"{horizons[-1]:g} s"
        header = ["method", f"AUROC {longest}", "lost", f"AP {longest}"]
        header.append("episodes: ROC-AUC at T_min")
        pair = (MAIN_TARGET, len(horizons) - 1)
        rows = []
        for method in self.methods:
            figures = method.figures["held_out"][part]
            steps = figures["steps"]["all"][pair]
            rows.append(
                [
                    method.name,
                    tables.number(steps.get("auroc")),
                    tables.signed(figures["loss"].get(pair)),
                    tables.number(steps.get("average_precision")),
                    tables.number(figures["episodes"]["without_timeout"]["all"].get("auroc")),
                ]
            )
        return tables.table(header, rows)
