# SPDX-License-Identifier: Apache-2.0
"""Draws a SignalReport: distributions near a failure and elsewhere, AUROC, correlation."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from salus_core.inspection.signal_report import CLOCK, SignalReport
from salus_core.signals import SIGNAL_NAMES, SIGNAL_UNITS

NEAR, FAR = "#c1121f", "#1d4e89"
BINS = 50
SKEWED = 20.0
"""A positive signal whose 99 % quantile is so many medians gets a logarithmic axis."""


def draw_signals(report: SignalReport) -> Figure:
    """Draw the report."""
    figure = Figure(figsize=(15, 13.5), dpi=100)
    FigureCanvasAgg(figure)
    milliseconds = f"{1000 * report.horizon:g} ms"
    figure.suptitle(
        f"Signals over {report.episodes} episodes, {report.steps} steps", x=0.05, ha="left", y=0.985
    )
    figure.text(0.05, 0.951, f"red: within {milliseconds} before a failure", color=NEAR)
    figure.text(0.27, 0.951, "blue: elsewhere; equal areas", color=FAR)
    upper = figure.add_gridspec(3, 4, left=0.05, right=0.985, top=0.925, bottom=0.52, hspace=0.55)
    for index, name in enumerate(SIGNAL_NAMES):
        axes = figure.add_subplot(upper[index // 4, index % 4])
        unit = SIGNAL_UNITS[index]
        axes.set_title(name + ("" if unit in ("", "1") else f" [{unit}]"), fontsize=9, loc="left")
        _histogram(axes, report.samples[:, index], report.near)
    names = [*SIGNAL_NAMES, CLOCK]
    lower = figure.add_gridspec(
        1, 2, left=0.135, right=0.985, top=0.455, bottom=0.045, width_ratios=(4, 13), wspace=0.3
    )
    values = np.array([[one.value for one in row] for row in report.auroc])
    axes = figure.add_subplot(lower[0, 0])
    axes.set_title(f"AUROC alone, {milliseconds} ahead", fontsize=10, loc="left")
    heads = [
        f"{name}\n{count} ep."
        for name, count in zip(report.failure_names, report.failed, strict=True)
    ]
    _matrix(axes, values, heads, names, (0.0, 1.0))
    axes = figure.add_subplot(lower[0, 1])
    axes.set_title("rank correlation (Spearman)", fontsize=10, loc="left")
    numbers = [str(index) for index in range(len(SIGNAL_NAMES))]
    rows = [f"{name}  {number}" for name, number in zip(SIGNAL_NAMES, numbers, strict=True)]
    _matrix(axes, report.correlation, [*numbers, CLOCK], [*rows, CLOCK], (-1.0, 1.0))
    return figure


def _histogram(axes: Axes, values: np.ndarray, near: np.ndarray) -> None:
    finite = np.isfinite(values)
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    if not finite.any():
        axes.text(0.5, 0.5, "never valid", transform=axes.transAxes, ha="center", fontsize=8)
        axes.set_xticks([])
        return
    low, middle, high = np.quantile(values[finite], [0.005, 0.5, 0.995])
    skewed = low > 0 and high > SKEWED * middle
    if skewed:
        axes.set_xscale("log")
        edges = np.geomspace(low, high, BINS + 1)
    else:
        edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    for where, colour in ((~near, FAR), (near, NEAR)):
        counts, _ = np.histogram(values[finite & where], edges)
        if counts.any():
            axes.stairs(counts / counts.sum(), edges, color=colour, fill=True, alpha=0.25)
            axes.stairs(counts / counts.sum(), edges, color=colour, linewidth=1.2)


def _matrix(
    axes: Axes,
    values: np.ndarray,
    heads: list[str],
    rows: list[str],
    limits: tuple[float, float],
) -> None:
    axes.imshow(values, cmap="RdBu_r", vmin=limits[0], vmax=limits[1], aspect="auto")
    axes.set_xticks(range(len(heads)), heads, fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.tick_params(length=0)
    middle, reach = sum(limits) / 2, (limits[1] - limits[0]) / 2
    for (row, column), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.2f}"
        dark = abs(value - middle) > 0.65 * reach
        axes.text(
            *(column, row, text), ha="center", va="center", fontsize=8, color="w" if dark else "k"
        )
