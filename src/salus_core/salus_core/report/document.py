"""The report of `evaluate`: metrics.json, report.md and pictures in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from salus_core import evaluation
from salus_core.evaluation import MAIN_TARGET, TIMEOUTS
from salus_core.metrics import Estimate
from salus_core.predictors.checkpoint import write_json
from salus_core.report import tables
from salus_core.report.assess import (
    Assessed,
    episode_difference,
    horizon_pairs,
    step_differences,
    type_pairs,
)
from salus_core.report.figures import draw_all
from salus_core.report.sources import Parts

PICTURES = {
    "roc": "ROC of steps",
    "pr": "Precision and recall of steps",
    "reliability": "Forecast risk against what happened",
    "confusion": "What was forecast and what happened",
    "band": "The alarm's band with episodes of the test part",
    "lead": "How long before the onset the first alarm came",
}


@dataclass(frozen=True)
class Report:
    """All that is written.

    Attributes:
        title: of the document.
        about: entries for people and metrics.json: checkpoint, command, settings.
        parts: data.
        described: counts of each part.
        method: that is evaluated.
        others: simple methods.
        remarks: why some method or figure is missing.
        cautions: what speaks against the figures, beside what they show themselves.
    """

    title: str
    about: Mapping[str, Any]
    parts: Parts
    described: Mapping[str, Mapping[str, Any]]
    method: Assessed
    others: Sequence[Assessed]
    remarks: Sequence[str] = field(default_factory=tuple)
    cautions: Sequence[str] = field(default_factory=tuple)

    @property
    def methods(self) -> list[Assessed]:
        """The evaluated one first."""
        return [self.method, *self.others]

    def differences(self) -> dict[str, dict[str, Estimate]]:
        """Evaluated minus simple method, of steps."""
        return {
            other.name: step_differences(self.method, other)
            for other in self.others
            if other.name in ("proprioception", *evaluation.CLOCKS)
        }

    def warnings(self) -> list[str]:
        """What a reader must know before any figure."""
        steps = {method.name: method.figures["steps"]["all"] for method in self.methods}
        return [
            *self.cautions,
            *evaluation.warnings_about_data(self.parts.test),
            *evaluation.clock_warnings(steps, self.parts.test),
            *evaluation.gain_warnings(self.method.name, self.differences()),
        ]

    def notes(self) -> list[str]:
        """What is good to know."""
        steps = {method.name: method.figures["steps"]["all"] for method in self.methods}
        return [*evaluation.timeout_note(steps, self.parts.test), *self.remarks]

    def write(self, folder: Path) -> str:
        """Write all files.

        Returns:
            The document.
        """
        folder.mkdir(parents=True, exist_ok=True)
        pictures = draw_all(folder, self.method, self.others, self.parts.test)
        document = self._document([path.stem for path in pictures])
        (folder / "report.md").write_text(document)
        write_json(folder / "metrics.json", self._json())
        return document

    def _json(self) -> dict[str, Any]:
        content = {
            **self.about,
            "data": dict(self.described),
            "warnings": self.warnings(),
            "notes": self.notes(),
            "methods": {
                method.name: {
                    **method.figures,
                    "band_episodes": None if method.band is None else method.band.episodes,
                    "alarm_alpha": None if method.band is None else method.band.alpha,
                }
                for method in self.methods
            },
            "differences": self.differences(),
            "episode_differences": {
                other.name: {
                    timeout: episode_difference(self.method, other, timeout) for timeout in TIMEOUTS
                }
                for other in self.others
            },
        }
        return evaluation.plain(content, self.parts.test.horizons)

    def _document(self, pictures: Sequence[str]) -> str:
        figures = self.method.figures
        data = self.parts.test
        of_types = type_pairs(data.taxonomy, data.horizons)
        said = [f"**{sentence}**" for sentence in self.warnings()]
        parts = [
            f"# {self.title}",
            "\n".join(f"- {key}: {value}" for key, value in self.about.items()),
            "\n\n".join(said) if said else "No warning: no clock solves this data set.",
            "\n".join(f"- {sentence}" for sentence in self.notes()),
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
            if group in figures["steps"]:
                words = "without an injected fault" if group == "natural" else "with one"
                parts += [
                    f"### Episodes {words} ({group})",
                    tables.method_table(self.methods, group, of_types),
                ]
        parts += ["## Episodes", tables.episode_table(self.methods)]
        parts += self._alarm()
        if figures["held_out"]:
            parts += ["## Held out from training", tables.held_out_table(self.method)]
        if pictures:
            parts.append("## Pictures")
            parts += [f"![{PICTURES[name]}]({name}.png)" for name in pictures]
        parts += ["## Steps without an input", tables.missing_table(self.described.items())]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _gains(self) -> list[str]:
        rows = [
            [other.name, *(tables.signed(gain) for gain in gains.values())]
            for other in self.others
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
        if not figures["alarm"]:
            return ["## Alarm", "No band: there are too few calibration episodes, or none."]
        parts = [
            "## Alarm",
            f"False-alarm rate per successful episode of at most {self.method.band.alpha:g}, from "
            f"{self.method.band.episodes} successful episodes. Onsets are those of all "
            "failures but timeouts, unless timeouts are named.",
            tables.alarm_table(
                (method.name, method.figures["alarm"]["without_timeout"]["all"])
                for method in self.methods
                if method.figures["alarm"]
            ),
            f"`{self.method.name}` by group:",
            tables.alarm_table(
                (f"{group}, {timeout.replace('_', ' ')}", rows)
                for timeout in TIMEOUTS
                for group, rows in figures["alarm"][timeout].items()
            ),
        ]
        if figures.get("alphas"):
            parts += [
                "Promised and found false-alarm rates (a band for each rate from the same "
                "calibration episodes; 'expected' is what the guarantee lets expect on so many "
                "held-out episodes):",
                tables.alpha_table(figures["alphas"]),
            ]
        return parts
