# SPDX-License-Identifier: Apache-2.0
"""The training report as a picture: errors and success over the stages of every member."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_TITLES = (
    "mean error of the first action\n(training batches, normalised units)",
    "error of the scene head\n(training batches, squared units)",
    "success of the member alone\n(in the next round; at the end on validation seeds)",
)


def draw_report(report: dict[str, Any], path: Path) -> None:
    """Draw `training_report.json`.

    Args:
        report: its content.
        path: of the PNG.
    """
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, len(_TITLES))
    for name, stages in report["members"].items():
        names = sorted(stages, key=_order)
        ordered = [stages[stage] for stage in names]
        success = [
            _success(stage["validation"] or (after or {}).get("rollouts_before"))
            for stage, after in zip(ordered, [*ordered[1:], None], strict=True)
        ]
        values = (
            [s["action_error"] for s in ordered],
            [s["scene_error"] for s in ordered],
            success,
        )
        for panel, line in zip(axes, values, strict=True):
            known = [
                (stage, value)
                for stage, value in zip(names, line, strict=True)
                if value is not None
            ]
            panel.plot(*zip(*known, strict=True), marker="o", label=name.replace("_", " "))
    for panel, title in zip(axes, _TITLES, strict=True):
        panel.set_title(title, fontsize=9)
        panel.tick_params(axis="x", labelsize=7)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    axes[-1].set_ylim(0, 1)
    axes[-1].legend(fontsize=7)
    FigureCanvasAgg(figure).print_png(path)


def _success(outcomes: dict[str, int] | None) -> float | None:
    return outcomes.get("NONE", 0) / sum(outcomes.values()) if outcomes else None


def _order(stage: str) -> tuple[int, str]:
    """Stages in the order of training; what was done after the last one comes after it."""
    rank = 1 if stage.startswith("round") else 3
    return {"clone": 0, "last": 2}.get(stage, rank), stage
