"""The training report as a picture: errors and success over the stages of every member."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_PANELS = (
    ("action_error", "mean error of the first action\n(training batches, normalised units)"),
    ("scene_error", "error of the scene head\n(training batches, squared units)"),
    ("validation_success", "success on validation seeds\n('standard', no faults)"),
)


def draw_report(report: dict[str, Any], path: Path) -> None:
    """Draw `training_report.json`.

    Args:
        report: its content.
        path: of the PNG.
    """
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, len(_PANELS))
    for name, stages in report["members"].items():
        ordered = sorted(stages.items(), key=lambda item: _order(item[0]))
        for panel, (key, _) in zip(axes, _PANELS, strict=True):
            values = [stage[key] for _, stage in ordered]
            panel.plot(range(len(values)), values, marker="o", label=name.replace("_", " "))
    labels = [f"{name}\n{stage['frames'] // 1000}k steps" for name, stage in ordered]
    for panel, (_, title) in zip(axes, _PANELS, strict=True):
        panel.set_title(title, fontsize=9)
        panel.set_xticks(range(len(labels)), labels, fontsize=7)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    axes[-1].set_ylim(0, 1)
    axes[-1].legend(fontsize=7)
    FigureCanvasAgg(figure).print_png(path)


def _order(stage: str) -> tuple[int, str]:
    """Stages in the order of training."""
    return {"clone": 0, "last": 2}.get(stage, 1), stage
