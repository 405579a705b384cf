# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from salus_core import metrics
from salus_core.curves import first_alarm
from salus_core.data import StepData
from salus_core.evaluation import MAIN_TARGET, positives
from salus_core.evaluation.alarms import Outcomes
from salus_core.inspection.colours import horizon_colours, type_colours
from salus_core.metrics.events import MIN_LEAD_S
from salus_core.predictors.interface import risk
from salus_core.report.assess import Assessed

DPI = 120
OTHER_STYLES = (("#e07a00", "--"), ("#7f7f7f", ":"), ("#2ca02c", "-."), ("#bcbd22", "--"))
EXAMPLES = 25
"""Successful episodes in the picture of the conformal threshold."""


def draw_all(
    folder: Path, method: Assessed, others: Sequence[Assessed], data: StepData
) -> list[Path]:
    """Draw every picture that the figures allow.

    Args:
        folder: that they are written into.
        method: that is evaluated.
        others: simple methods, for comparison.
        data: the test part.

    Returns:
        The files.
    """
    drawn = []
    figures = {
        "roc": lambda: _curves(method, others, data, roc=True),
        "pr": lambda: _curves(method, others, data, roc=False),
    }
    if method.scores.probabilities is not None:
        figures["reliability"] = lambda: _reliability(method, data)
    if method.alarm is not None:
        figures["confusion"] = lambda: _confusion(method, data)
        figures["conformal_threshold"] = lambda: _band(method, data)
        figures["lead"] = lambda: _leads(method, data)
    for name, draw in figures.items():
        figure = draw()
        if figure is None:
            continue
        path = folder / f"{name}.png"
        FigureCanvasAgg(figure).print_png(str(path))
        drawn.append(path)
    return drawn


def _types(method: Assessed) -> list[tuple[str, int, str]]:
    """Name, code and colour of each failure type."""
    names = method.taxonomy.names
    return list(zip(names, method.taxonomy.codes, type_colours(len(names)), strict=True))


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    axes = [figure.add_subplot(1, columns, column + 1) for column in range(columns)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _curves(
    method: Assessed, others: Sequence[Assessed], data: StepData, roc: bool
) -> Figure | None:
    figure, (left, right) = _figure(11.0, 5.0, 2)
    types = method.taxonomy.main
    drawn = False
    for horizon, colour in enumerate(horizon_colours(method.horizons)):
        label = f"{method.name}, {method.horizons[horizon]:g} s"
        drawn |= _curve(left, method, data, types, horizon, roc, colour, "-", label)
    if not drawn:
        return None
    for other, (colour, style) in zip(others, OTHER_STYLES, strict=False):
        label = f"{other.name}, {method.horizons[-1]:g} s"
        _curve(left, other, data, types, method.longest, roc, colour, style, label)
    left.set_title("any failure but timeout", fontsize=11)
    for name, failure, colour in _types(method):
        _curve(right, method, data, (failure,), method.longest, roc, colour, "-", name)
    right.set_title(f"{method.name}, by type, within {method.horizons[-1]:g} s", fontsize=11)
    for axis in (left, right):
        if roc:
            axis.plot([0, 1], [0, 1], color="#cccccc", linewidth=0.8, zorder=0)
            axis.set(xlabel="false-positive rate of steps", ylabel="true-positive rate of steps")
        else:
            axis.set(xlabel="recall of steps", ylabel="precision of steps")
        axis.set(xlim=(0, 1), ylim=(0, 1.02))
        axis.legend(fontsize=8, loc="lower right" if roc else "upper right", frameon=False)
    return figure


def _curve(
    axis: Axes,
    method: Assessed,
    data: StepData,
    types: Sequence[int],
    horizon: int,
    roc: bool,
    colour: str,
    style: str,
    label: str,
) -> bool:
    valid = data.label_valid[:, horizon]
    positive = positives(data, types, horizon)[valid]
    score = method.scores.of_target(types, horizon)[valid]
    if positive.all() or not positive.any():
        return False
    if roc:
        x, y, _ = roc_curve(positive, score)
        axis.plot(x, y, style, color=colour, linewidth=1.5, label=label)
    else:
        y, x, _ = precision_recall_curve(positive, score)
        axis.step(x, y, style, where="post", color=colour, linewidth=1.5, label=label)
    return True


def _reliability(method: Assessed, data: StepData) -> Figure:
    figure, axes = _figure(11.0, 5.0, 2)
    for axis, equal_mass in zip(axes, (False, True), strict=True):
        for horizon, colour in enumerate(horizon_colours(method.horizons)):
            valid = data.label_valid[:, horizon]
            probability = risk(method.scores.probabilities[valid], horizon=horizon)
            happened = positives(data, method.taxonomy.codes, horizon)[valid]
            bins = metrics.reliability(probability, happened, equal_mass)
            shown = bins.count >= 20
            axis.plot(
                bins.forecast[shown],
                np.maximum(bins.observed[shown], 1e-5),
                "o-",
                color=colour,
                markersize=4,
                linewidth=1.2,
                label=f"{method.horizons[horizon]:g} s",
            )
        axis.set(xlabel="risk that was forecast", ylabel="share of steps that a failure followed")
    axes[0].set_title("bins of equal width (20 steps or more)", fontsize=11)
    axes[0].plot([0, 1], [0, 1], color="#cccccc", linewidth=0.8, zorder=0)
    axes[0].set(xlim=(0, 1), ylim=(0, 1))
    axes[1].set_title("bins of equally many steps, logarithmic", fontsize=11)
    axes[1].set(xscale="log", yscale="log", xlim=(1e-5, 1), ylim=(1e-5, 1))
    axes[1].plot([1e-5, 1], [1e-5, 1], color="#cccccc", linewidth=0.8, zorder=0)
    axes[0].legend(title="any failure within", fontsize=8, frameon=False)
    return figure


def _confusion(method: Assessed, data: StepData) -> Figure:
    figure, (left, right) = _figure(11.0, 4.8, 2)
    table = data.episodes
    known = ~table.intervened & (table.succeeded | table.failed)
    outcome = np.where(table.failed, table.failure, 0)
    first = first_alarm(method.alarm, table.start, table.length)
    raised = (first >= 0) & ((first < table.onset_step) | ~table.failed)
    names, longest = method.taxonomy.names, method.longest
    counts = np.zeros((len(names) + 1, 2), int)
    np.add.at(counts, (outcome[known], raised[known].astype(int)), 1)
    _matrix(
        right,
        counts,
        ["success", *names],
        ["no alarm", "alarm before\nthe onset"],
        "episodes: outcome and alarm",
    )
    threshold = (method.thresholds or {}).get((MAIN_TARGET, longest))
    if method.scores.probabilities is None or threshold is None:
        left.set_axis_off()
        return figure
    valid = data.label_valid[:, longest]
    truth = data.labels[valid, longest]
    actual = np.where(truth.any(axis=1), truth.argmax(axis=1) + 1, 0)
    probability = method.scores.probabilities[valid]
    columns = [code - 1 for code in method.taxonomy.main]
    likeliest = np.array(columns)[probability[:, longest][:, columns].argmax(axis=1)]
    forecast = np.where(risk(probability, method.taxonomy.main) >= threshold, likeliest + 1, 0)
    counts = np.zeros((len(names) + 1, len(names) + 1), int)
    np.add.at(counts, (actual, forecast), 1)
    keep = [0, *(column + 1 for column in columns)]
    _matrix(
        left,
        counts[:, keep],
        ["none", *names],
        ["none", *(names[column] for column in columns)],
        f"steps: what follows within {method.horizons[-1]:g} s\nand likeliest type above the "
        "threshold of best F1 on validation",
    )
    return figure


def _matrix(
    axis: Axes, counts: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str
) -> None:
    kept = counts.sum(axis=1) > 0
    counts, rows = counts[kept], [row for row, keep in zip(rows, kept, strict=True) if keep]
    share = counts / counts.sum(axis=1, keepdims=True)
    axis.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        dark = share[row, column] > 0.5
        axis.text(
            column,
            row,
            f"{100 * share[row, column]:.0f} %\n{count}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark else "black",
        )
    axis.set_xticks(range(len(columns)), columns, fontsize=9)
    axis.set_yticks(range(len(rows)), rows, fontsize=9)
    axis.set(xlabel="forecast", ylabel="what happened")
    axis.set_title(title, fontsize=10)
    axis.spines[:].set_visible(False)


def _band(method: Assessed, data: StepData) -> Figure:
    figure, (axis,) = _figure(11.0, 5.0)
    table = data.episodes
    steps = np.arange(int(table.length.max()))
    seconds = steps * data.control_period
    good = np.flatnonzero(table.succeeded & ~table.intervened)[:EXAMPLES]
    for index, episode in enumerate(good):
        rows = data.rows(episode)
        axis.plot(
            data.step[rows] * data.control_period,
            method.scores.score[rows],
            color="#b0b0b0",
            linewidth=0.7,
            label=f"{len(good)} successes" if index == 0 else None,
        )
    for name, failure, colour in _types(method):
        of_type = np.flatnonzero(table.failed & (table.failure == failure))[:2]
        for index, episode in enumerate(of_type):
            rows = data.rows(episode)
            time = data.step[rows] * data.control_period
            label = name if index == 0 else None
            axis.plot(time, method.scores.score[rows], color=colour, linewidth=1.3, label=label)
            sounded = method.alarm[rows]
            axis.plot(time[sounded], method.scores.score[rows][sounded], ".", color=colour)
            onset = min(int(table.onset_step[episode]), len(time) - 1)
            axis.plot(time[onset], method.scores.score[rows][onset], "X", color=colour, ms=9)
    axis.plot(
        seconds,
        method.band.edge(steps),
        color="black",
        linewidth=1.8,
        label=f"conformal threshold, false-alarm rate {method.band.alpha:g}",
    )
    top = 1.1 * max(method.scores.score.max(), np.quantile(method.band.edge(steps), 0.8))
    axis.set(xlabel="time in the episode [s]", ylabel=f"score of '{method.name}'")
    axis.set(xlim=(0, None), ylim=(None, top))
    axis.set_title("dots: alarm; cross: onset of the failure", fontsize=10)
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _leads(method: Assessed, data: StepData) -> Figure | None:
    table = data.episodes
    everyone = np.ones(len(table), bool)
    outcomes = Outcomes.of(data, everyone, timeout=False)
    if not outcomes.failed.any():
        return None
    figure, (axis,) = _figure(8.0, 4.2)
    first = first_alarm(method.alarm, table.start, table.length)
    lead = np.where(first >= 0, (outcomes.onset - first) * data.control_period, -np.inf)
    recalled = outcomes.failed & (lead >= MIN_LEAD_S - 1e-6)
    main = [type_ for type_ in _types(method) if type_[1] in method.taxonomy.main]
    groups = [lead[recalled & (table.failure == failure)] for _, failure, _ in main]
    width = max((float(group.max()) for group in groups if len(group)), default=1.0)
    axis.hist(
        groups,
        bins=np.arange(0.0, width + 0.2, 0.1 if width <= 3.0 else 0.2),
        stacked=True,
        color=[colour for _, _, colour in main],
        label=[name for name, _, _ in main],
    )
    axis.axvline(MIN_LEAD_S, color="black", linewidth=0.8, linestyle="--")
    total = int(outcomes.failed.sum())
    axis.set(xlabel="first alarm ahead of the onset [s]", ylabel="failures")
    axis.set_title(
        f"{int(recalled.sum())} of {total} failures (without timeouts) announced "
        f"{MIN_LEAD_S:g} s ahead or more",
        fontsize=10,
    )
    axis.legend(fontsize=8, frameon=False)
    return figure
