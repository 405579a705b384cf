# SPDX-License-Identifier: Apache-2.0
"""Sanity checks of data and figures: does the step number alone explain the failures?"""

from collections.abc import Mapping

import numpy as np

from salus_core.data import StepData
from salus_core.evaluation.figures import Pair, StepFigures
from salus_core.evaluation.scored import ANY_TARGET, MAIN_TARGET
from salus_core.failures import FailureType
from salus_core.metrics import Estimate

SOLVED = 0.9
"""AUROC of a clock from which on a target counts as solved by it."""

CLOCKS = ("clock", "fitted_clock")


def warnings_about_data(data: StepData) -> list[str]:
    """What is wrong with episodes before anything is scored."""
    table = data.episodes
    found = []
    known = ~table.intervened
    if not (table.succeeded & known).any():
        found.append(
            "NO EPISODE SUCCEEDED: false alarms cannot be counted, and whatever happens before the "
            "end of an episode looks like a sign of failure."
        )
    if not (table.failed & ~table.timed_out & known).any():
        found.append(
            "NO EPISODE FAILED but by timeout: there is nothing to foresee that the clock does not "
            "know."
        )
    ended = (table.failed & ~table.timed_out & known).nonzero()[0]
    if len(ended) >= 5 and len({int(step) for step in table.onset_step[ended]}) == 1:
        found.append(
            f"EVERY FAILURE HAS ITS ONSET AT STEP {int(table.onset_step[ended[0]])}: the label is "
            "the step number."
        )
    return found


def undefined_figures(data: StepData, part: str = "test") -> list[str]:
    """Which figures have no value, and why: sentences about a part."""
    table = data.episodes
    said = []
    if not table.failed.any():
        said.append(
            f"undefined: no failures in the {part} split, so there is no AUROC, average "
            "precision, recall, F1 or lead time"
        )
    elif absent := [
        name
        for code, name in zip(data.taxonomy.codes, data.taxonomy.names, strict=True)
        if not (table.failed & (table.failure == code)).any()
    ]:
        said.append(f"undefined for {', '.join(absent)}: no such failure in the {part} split")
    if not table.succeeded.any():
        said.append(
            f"undefined: no successes in the {part} split, so there is no false-alarm rate, and no "
            "AUROC of episodes"
        )
    return said


def clock_warnings(figures: Mapping[str, Mapping[Pair, StepFigures]], data: StepData) -> list[str]:
    """Targets that a clock solves.

    Args:
        figures: of `step_figures` by the name of the method; those of CLOCKS are read.
        data: that they are about.

    Returns:
        A sentence per target; empty: the step number does not explain the failures.
    """
    found = []
    names = (data.taxonomy.name(code) for code in data.taxonomy.main)
    for target in (MAIN_TARGET, ANY_TARGET, *names):
        best = _best_clock(figures, target, data)
        if best is None or best[1] < SOLVED:
            continue
        name, area = best
        about = {
            MAIN_TARGET: "failures other than timeouts",
            ANY_TARGET: "failures, timeouts included",
        }.get(target, f"failures by {target}")
        found.append(
            f"THE CLOCK SOLVES THIS DATA SET for {about}: the step number alone ('{name}') has an "
            f"AUROC of {area:.3f} within {data.horizons[-1]:g} s. A predictor's figures on this "
            "target say next to nothing about foresight"
            + (
                "; they come from timeouts, which a clock foretells: read the rows without them."
                if target == ANY_TARGET
                else "; collect episodes whose failures do not come at a known time."
            )
        )
    return found


def timeout_note(figures: Mapping[str, Mapping[Pair, StepFigures]], data: StepData) -> list[str]:
    """Say how well the clock foretells timeouts, where there are any."""
    best = _best_clock(figures, data.taxonomy.name(FailureType.TIMEOUT), data)
    if best is None:
        return []
    return [
        f"A timeout is nearly a clock: the step number alone ('{best[0]}') foretells it with an "
        f"AUROC of {best[1]:.3f}. The rows about timeouts are there for completeness."
    ]


def _best_clock(
    figures: Mapping[str, Mapping[Pair, StepFigures]],
    target: str,
    data: StepData,
) -> tuple[str, float] | None:
    areas = []
    for name in CLOCKS:
        found = figures.get(name, {}).get((target, len(data.horizons) - 1))
        if found is not None and found.auroc is not None and np.isfinite(found.auroc.value):
            areas.append((name, found.auroc.value))
    return max(areas, key=lambda pair: pair[1]) if areas else None


def gain_warnings(name: str, differences: Mapping[str, Mapping[str, Estimate]]) -> list[str]:
    """Say over which simple method a predictor is not shown to be better.

    Args:
        name: of the predictor.
        differences: by the simple method's name: "auroc" and "average_precision", predictor minus
            simple method, paired.
    """
    found = []
    for other, figures in differences.items():
        for figure, gain in figures.items():
            if not gain.low > 0.0:
                found.append(
                    f"'{name}' IS NOT SHOWN TO BE BETTER THAN '{other}' in "
                    f"{figure.replace('_', ' ').replace('auroc', 'AUROC')}: the difference is "
                    f"{gain.value:+.3f}, its interval {gain.low:+.3f} to {gain.high:+.3f}."
                )
    return found
