# SPDX-License-Identifier: Apache-2.0
"""One episode twice, without and with interventions, as two rows of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from salus_core.prevention.supervisor import ActingSupervisor
from salus_core.runtime import EpisodeResult, StepRecord, Supervisor
from salus_core.runtime.supervising import LimitSupervisor
from salus_studies.policy_evaluation.study_filmstrips import FRAMES, key_steps
from salus_studies.prevention_study.rig import Rig

CAMERA = "front"
_RED, _BLUE = "#c1121f", "#1d4ed8"


class _Film:
    """Keeps the pictures of an episode."""

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []
        self.manoeuvres: list[str] = []

    def begin(self, start: Any) -> None:
        """See Sink."""

    def step(self, record: StepRecord) -> None:
        """See Sink."""
        self.images.append(record.observation.images[CAMERA])
        self.manoeuvres.append(record.manoeuvre)

    def end(self, result: EpisodeResult) -> None:
        """See Sink."""

    def discard(self, reason: str) -> None:
        """See Sink."""


def draw(rig: Rig, seed: int, supervisor: ActingSupervisor, path: Path) -> str:
    """Run an episode without and with a supervisor, and draw both.

    Returns:
        A line about the picture.
    """
    figure = Figure(figsize=(2.0 * FRAMES, 4.9), dpi=90)
    FigureCanvasAgg(figure)
    said = []
    both: list[tuple[str, Supervisor]] = [
        ("without interventions", LimitSupervisor(rig.spec)),
        ("with interventions", supervisor),
    ]
    for row, (name, who) in enumerate(both):
        film = _Film()
        result = rig.watch(seed, who, film)
        said.append(result.name)
        _row(figure, row, name, result, film)
    figure.savefig(path)
    return f"{path}: seed {seed}, {said[0]} without interventions, {said[1]} with"


def _row(figure: Figure, row: int, name: str, result: EpisodeResult, film: _Film) -> None:
    top = 0.93 - 0.5 * row
    grid = figure.add_gridspec(
        1, FRAMES, left=0.004, right=0.996, top=top - 0.05, bottom=top - 0.43, wspace=0.03
    )
    failed = result.name != "success"
    end = f"{result.name}: {result.description}" if failed else f"success in {result.steps} steps"
    figure.text(0.005, top + 0.02, f"{name}: {end}", fontsize=11, color=_RED if failed else "black")
    onset = min(result.onset_step, len(film.images) - 1)
    for column, step in enumerate(key_steps(len(film.images) - 1, onset)):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(film.images[step])
        axes.set_xticks([])
        axes.set_yticks([])
        acts = film.manoeuvres[step]
        colour = _RED if failed and step == onset else _BLUE if acts else "black"
        axes.set_title(f"step {step}" + (f": {acts}" if acts else ""), fontsize=9, color=colour)
        for spine in axes.spines.values():
            spine.set(color=colour, linewidth=0.5 if colour == "black" else 2.5)
