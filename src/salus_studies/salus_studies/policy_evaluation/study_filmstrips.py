# SPDX-License-Identifier: Apache-2.0
"""Filmstrips of a success and of each failure type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from salus_studies.policy_evaluation.study_episodes import ENSEMBLE, Cell, Result, Stage
from salus_studies.policy_evaluation.study_report import OUTCOMES

CAMERA = "front"
FRAMES = 8
SEEDS = 400
"""Seeds that are tried at most for the outcomes that the study has not seen."""


def make_filmstrips(
    stage: Stage, results: Iterable[Result], folder: Path, first_seed: int
) -> Iterator[str]:
    """Draw one episode of each outcome.

    Episodes without faults come first: those of the study, then fresh seeds, then fresh seeds with
    faults.

    Args:
        stage: with the ensemble.
        results: of the study.
        folder: of the pictures, `<outcome>.png`.
        first_seed: of fresh seeds.

    Yields:
        A line about each picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in OUTCOMES if not (folder / f"{name}.png").exists()]
    known = [r for r in results if r.cell.actor == ENSEMBLE and r.cell.difficulty == "standard"]
    for result in sorted(known, key=lambda r: (r.cell.wording, r.seed)):
        if result.outcome in wanted:
            wanted.remove(result.outcome)
            yield _draw(stage, result.cell, result.seed, folder)
    fresh = range(first_seed, first_seed + SEEDS // 2)
    plain, faulty = (Cell(ENSEMBLE, "standard", "seen", name) for name in ("none", "mixed"))
    for cell, seed in chain(((plain, s) for s in fresh), ((faulty, s) for s in fresh)):
        if not wanted:
            return
        outcome = stage.play(cell, seed)[0].outcome
        if outcome in wanted:
            wanted.remove(outcome)
            yield _draw(stage, cell, seed, folder)
    if wanted:
        yield f"no {', '.join(wanted)} within {SEEDS} seeds"


def _draw(stage: Stage, cell: Cell, seed: int, folder: Path) -> str:
    result, images = stage.play(cell, seed, CAMERA)
    path = folder / f"{result.outcome}.png"
    draw_strip(result, images).savefig(path)
    return f"{path}: seed {seed}, {result.task}, {result.outcome} at step {result.onset}"


def key_steps(last: int, onset: int) -> np.ndarray:
    """Steps to show: spread evenly from 0 to `last`, the nearest one moved to the onset."""
    steps = np.unique(np.linspace(0, last, min(FRAMES, last + 1)).round().astype(int))
    steps[np.argmin(np.abs(steps - onset))] = onset
    return steps


def draw_strip(result: Result, images: list[np.ndarray]) -> Figure:
    """The frames side by side; the onset of a failure has a red frame."""
    figure = Figure(figsize=(2.0 * FRAMES, 2.55), dpi=100)
    FigureCanvasAgg(figure)
    failed = result.outcome != "success"
    what = f"{result.outcome} at step {result.onset}" if failed else "success"
    after = f", after {', '.join(result.faults)}" if result.faults else ""
    figure.suptitle(
        f'"{result.instruction}": {what}{after} ({result.cell.difficulty}, seed {result.seed})',
        x=0.005,
        ha="left",
        fontsize=11,
    )
    grid = figure.add_gridspec(
        1, FRAMES, left=0.004, right=0.996, top=0.83, bottom=0.01, wspace=0.03
    )
    for column, step in enumerate(key_steps(len(images) - 1, result.onset)):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(images[step])
        axes.set_xticks([])
        axes.set_yticks([])
        here = failed and step == result.onset
        axes.set_title(f"step {step}", fontsize=9, pad=3, color="#c1121f" if here else "black")
        for spine in axes.spines.values():
            spine.set(color="#c1121f" if here else "black", linewidth=3 if here else 0.5)
    return figure
