# SPDX-License-Identifier: Apache-2.0
"""Paired figures of arms: the same seeds with and without interventions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

DRAWS = 10_000
SUCCESS = "success"


@dataclass(frozen=True)
class Interval:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def reduction(base: np.ndarray, arm: np.ndarray) -> Interval:
    """By which share failures are cut; percentile bootstrap over episodes.

    Args:
        base: (N,) bool, failed without interventions.
        arm: (N,) bool, failed with them.
    """
    rows = np.random.default_rng(0).integers(0, len(base), (DRAWS, len(base)))
    failed = np.maximum(base[rows].sum(axis=1), 1)
    cut = 1.0 - arm[rows].sum(axis=1) / failed
    low, high = np.quantile(cut, (0.025, 0.975))
    return Interval(1.0 - arm.sum() / max(base.sum(), 1), float(low), float(high))


def share(count: int, of: int) -> Interval:
    """A share with its Clopper-Pearson interval; of nothing: 0 to 1."""
    if of == 0:
        return Interval(float("nan"), 0.0, 1.0)
    found = binomtest(count, of).proportion_ci()
    return Interval(count / of, float(found.low), float(found.high))


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided McNemar test on discordant pairs."""
    if gained + lost == 0:
        return 1.0
    return float(binomtest(min(gained, lost), gained + lost).pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """P values adjusted by Holm's step-down method (1979)."""
    order = np.argsort(values)
    found, largest = np.empty(len(values)), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, (len(values) - rank) * values[index])
        found[index] = min(largest, 1.0)
    return [float(value) for value in found]


@dataclass(frozen=True)
class Pair:
    """Two ways to act on the same seeds.

    Attributes:
        gained: episodes that succeed only with the first.
        lost: episodes that succeed only with the second.
        p: exact McNemar.
    """

    gained: int
    lost: int
    p: float

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray) -> Pair:
        """Compare; both (N,) bool, failed."""
        gained, lost = int((~first & second).sum()), int((first & ~second).sum())
        return cls(gained, lost, mcnemar(gained, lost))


def figures(rows: Sequence[Mapping[str, Any]], period: float) -> dict[str, Any]:
    """Figures of an arm.

    Args:
        rows: one per seed, as the study keeps them.
        period: control period [s].
    """
    base = np.array([row["base"] != SUCCESS for row in rows])
    arm = np.array([row["outcome"] != SUCCESS for row in rows])
    fired = np.array([row["first"] >= 0 for row in rows])
    steps = np.array([row["steps"] for row in rows], float)
    before = np.array([row["base_steps"] for row in rows], float)
    pair = Pair.of(arm, base)
    both = ~base & ~arm
    saved = max(pair.gained - pair.lost, 0)
    changed = sum(row["changed"] for row in rows)
    return {
        "episodes": len(rows),
        "failures": [int(base.sum()), int(arm.sum())],
        "reduction": reduction(base, arm),
        "gained": pair.gained,
        "lost": pair.lost,
        "p": pair.p,
        "lost_share": share(pair.lost, int((~base).sum())),
        "fired": int(fired.sum()),
        "fired_in_successes": int((fired & ~base).sum()),
        "needed": share(int((fired & base).sum()), int(fired.sum())),
        "time_on_successes": float((steps[both] / before[both] - 1).mean()) if both.any() else 0.0,
        "interventions_per_avoided": sum(row["tries"] for row in rows) / saved if saved else None,
        "seconds_per_avoided": period * changed / saved if saved else None,
    }


def by_group(
    rows: Sequence[Mapping[str, Any]], names: Iterable[tuple[str, Any]]
) -> dict[str, list[int]]:
    """Failures without interventions and how many of them are saved, by group.

    Args:
        rows: as in `figures`.
        names: each group's name and which rows belong to it.
    """
    failed = [row for row in rows if row["base"] != SUCCESS]
    found = {}
    for name, belongs in names:
        mine = [row for row in failed if belongs(row)]
        found[name] = [sum(row["outcome"] == SUCCESS for row in mine), len(mine)]
    return found


def cause(row: Mapping[str, Any]) -> str:
    """What made an episode hard, as the simulator knows: for tables, read by no arm."""
    about = row["about"]
    if about["bent"]:
        return "bent camera"
    tall = about["wall"] is not None and about["wall"] > TALL
    if about["oily"]:
        return "tall wall and oily" if tall else "oily"
    if tall:
        return "tall wall"
    return "injected fault" if about["faults"] else "none of these"


TALL = 0.16
"""Walls above are tall [m]."""
