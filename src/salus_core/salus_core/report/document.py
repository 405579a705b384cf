# SPDX-License-Identifier: Apache-2.0
"""The report of `evaluate`: metrics.json, report.md and pictures in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from salus_core.evaluation import MAIN_TARGET, TIMEOUTS
from salus_core.report import tables
from salus_core.report.assess import Assessed, horizon_pairs, step_differences, type_pairs
from salus_core.report.base import Document
from salus_core.report.figures import draw_all

PICTURES = {
    "roc": "ROC of steps",
    "pr": "Precision and recall of steps",
    "reliability": "Forecast risk against what happened",
    "confusion": "What was forecast and what happened",
    "conformal_threshold": "The alarm's conformal threshold and episodes of the test part",
    "lead": "How long before the onset the first alarm came",
}


class Report(Document):
    """What `evaluate` and `replay` write: one method, beside simple ones."""

    @property
    def method(self) -> Assessed:
        """The evaluated one."""
        return self.methods[0]

    def write(self, folder: Path) -> str:
        """Write all files.

        Returns:
            The document.
        """
        folder.mkdir(parents=True, exist_ok=True)
        pictures = draw_all(folder, self.method, self.methods[1:], self.parts.test)
        document = self.text([path.stem for path in pictures])
        (folder / "report.md").write_text(document, encoding="utf-8", errors="backslashreplace")
        self._write_json(folder / "metrics.json")
        return document

    def text(self, pictures: Sequence[str] = ()) -> str:
        """The document, with some pictures."""
        figures = self.method.figures
        data = self.parts.test
        of_types = type_pairs(data.taxonomy, data.horizons)
        parts = [
            *self._head(),
            "Intervals: 95 %, bootstrap over episodes. Thresholds of precision, recall and F1 are "
            "the best of the validation part. AP: average precision; a random score has the base "
            "rate.",
            "## Data",
            tables.data_table(self.described.items()),
            "## Steps",
            f"`{self.method.name}`, all episodes of the test part:",
            tables.step_table(self.method),
            "Beside methods that look at nothing of the policy:",
            tables.method_table(self.methods, "all", horizon_pairs(data.horizons)),
            tables.method_table(self.methods, "all", of_types[1:]),
            *self._gains(),
        ]
        for group in ("natural", "injected"):
            if group in figures.steps:
                words = "without an injected fault" if group == "natural" else "with one"
                parts += [
                    f"### Episodes {words} ({group})",
                    tables.method_table(self.methods, group, of_types),
                ]
        parts += ["## Episodes", tables.episode_table(self.methods)]
        parts += self._alarm()
        if figures.held_out:
            parts += ["## Held out from training", tables.held_out_table(self.method)]
        if pictures:
            parts.append("## Pictures")
            parts += [f"![{PICTURES[name]}]({name}.png)" for name in pictures]
        parts += ["## Steps without an input", tables.missing_table(self.described.items())]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _gains(self) -> list[str]:
        rows = [
            [other.name, *(tables.signed(gain) for gain in gains.values())]
            for other in self.methods[1:]
            if (gains := step_differences(self.method, other))
        ]
        if not rows:
            return []
        about = f"{tables.target_words(MAIN_TARGET)}, {self.method.horizons[-1]:g} s"
        return [
            f"`{self.method.name}` minus the other, on the same resamples ({about}):",
            tables.table(["other", "AUROC", "average precision"], rows),
        ]

    def _alarm(self) -> list[str]:
        figures = self.method.figures
        if not figures.alarm:
            return [
                "## Alarm",
                "No conformal threshold: there are too few calibration episodes, or none.",
            ]
        parts = [
            "## Alarm",
            f"False-alarm rate per successful episode of at most {self.method.band.alpha:g}, from "
            f"{self.method.band.episodes} successful episodes. Onsets are those of all "
            "failures but timeouts, unless timeouts are named.",
            tables.alarm_table(
                (method.name, method.figures.alarm["without_timeout"]["all"])
                for method in self.methods
                if method.figures.alarm
            ),
            f"`{self.method.name}` by group:",
            tables.alarm_table(
                (f"{group}, {timeout.replace('_', ' ')}", rows)
                for timeout in TIMEOUTS
                for group, rows in figures.alarm[timeout].items()
            ),
        ]
        if figures.alphas:
            parts += [
                "Promised and found false-alarm rates (a threshold for each rate from the same "
                "calibration episodes; 'expected' is what the guarantee lets expect on so many "
                "held-out episodes):",
                tables.alpha_table(figures.alphas),
            ]
        return parts
