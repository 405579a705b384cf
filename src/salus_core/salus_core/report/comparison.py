# SPDX-License-Identifier: Apache-2.0
"""One table of several methods on the same episodes, with paired differences to the first."""

from __future__ import annotations

from pathlib import Path

from salus_core.evaluation import MAIN_TARGET
from salus_core.report import tables
from salus_core.report.assess import type_pairs
from salus_core.report.base import Document

ALARM_COLUMNS = {"recall": 3, "false_alarm_rate": 3, "lead_median": 2, "balanced_accuracy": 3}
"""Figures of the alarm in the main table, with their digits."""

SHORTEST = 0


class Comparison(Document):
    """What `compare` and `ablate` write: a row per method."""

    def write(self, folder: Path, name: str) -> str:
        """Write NAME.md and NAME.json.

        Returns:
            The document.
        """
        folder.mkdir(parents=True, exist_ok=True)
        document = self.text()
        (folder / f"{name}.md").write_text(document, encoding="utf-8", errors="backslashreplace")
        self._write_json(folder / f"{name}.json")
        return document

    def text(self) -> str:
        """The document."""
        first = self.methods[0].name
        of_types = type_pairs(self.parts.test.taxonomy, self.parts.test.horizons)
        parts = [
            *self._head(),
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
        alarmed = [method for method in self.methods if method.figures.alarm]
        if alarmed:
            parts += [
                "## Alarm, without timeouts",
                tables.alarm_table(
                    (method.name, method.figures.alarm["without_timeout"]["all"])
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
            figures = method.figures
            short, long = (figures.of_steps("all", pair) for pair in (short_pair, long_pair))
            natural = figures.of_steps("natural", long_pair)
            alarm = figures.alarm.get("without_timeout", {}).get("all")
            rows.append(
                [
                    method.name,
                    tables.number(short.auroc),
                    tables.number(long.auroc),
                    tables.number(long.average_precision),
                    tables.number(long.f1),
                    tables.number(natural.auroc),
                    tables.number(figures.of_episodes("without_timeout").auroc),
                    *(
                        tables.number(None if alarm is None else getattr(alarm, name), digits)
                        for name, digits in ALARM_COLUMNS.items()
                    ),
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
            figures = method.figures.held_out[part]
            steps = figures.of_steps("all", pair)
            rows.append(
                [
                    method.name,
                    tables.number(steps.auroc),
                    tables.signed(figures.loss.get(pair)),
                    tables.number(steps.average_precision),
                    tables.number(figures.of_episodes("without_timeout").auroc),
                ]
            )
        return tables.table(header, rows)
