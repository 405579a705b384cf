# SPDX-License-Identifier: Apache-2.0
"""Splits of runs for which no table of seeds was made: by fractions of the episodes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from salus_core.data.splits import SplitError
from salus_core.episode_store import Episode, open_dataset
from salus_core.failures import Outcome

FRACTIONS = {"train": 0.6, "validation": 0.15, "calibration": 0.15, "test": 0.1}
"""Share of the episodes in each part."""

BY_FRACTION = "fractions"
"""Name of these splits, in place of a file."""

_SEED = 0


@dataclass(frozen=True)
class Part:
    """Episodes that are known one by one.

    Attributes:
        name: of the part.
        groups: of `group_of`.
        others: groups of the other parts: what belongs to none, being newer, is held, too; None:
            it is not.
        runs: folders that it is read from; empty: those given by the caller.
    """

    name: str
    groups: frozenset[str]
    others: frozenset[str] | None = None
    runs: tuple[str, ...] = ()

    def holds(self, episode: Episode) -> bool:
        """Whether an episode belongs to it."""
        group = group_of(episode)
        return group in self.groups if self.others is None else group not in self.others

    def __str__(self) -> str:
        return f"of the part '{self.name}' that the splits by fraction made"


def group_of(episode: Episode) -> str:
    """Hash of what must not be torn apart: the same for episodes that repeat each other.

    A seed of a simulated world (with a difficulty) is the same scene in every run. Elsewhere a
    seed repeats within its run; where a run numbers none (all are 0), each episode is on its own.
    The run is known by its first episode's start time, not by its folder, which may be moved.
    """
    if episode.difficulty:
        key = f"seed {episode.seed}"
    elif episode.run.has_seeds:
        key = f"{episode.run.start_time!r} seed {episode.seed}"
    else:
        key = f"{episode.run.start_time!r} episode {episode.index}"
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def parts_by_fraction(
    runs: Iterable[Path | str] | Path | str, names: Collection[str] = tuple(FRACTIONS)
) -> dict[str, Part]:
    """Split the episodes of runs, in a random order that is always the same.

    Episodes that failed and those that did not are dealt out evenly. What repeats one another
    (`group_of`) stays together.

    Args:
        runs: runs, folders of runs, or glob patterns of either.
        names: of the parts, among FRACTIONS; the share of one that is left out goes to training.

    Raises:
        NotARunError: a path holds no run.
        SplitError: there are fewer groups than parts, or no such part.
    """
    unknown = [name for name in names if name not in FRACTIONS]
    if unknown:
        raise SplitError(
            f"splits by fraction have no part '{unknown[0]}': use {', '.join(FRACTIONS)}, or name "
            "a table of splits with data.splits=FILE"
        )
    failed: dict[str, bool] = defaultdict(bool)
    dataset = open_dataset(runs, same_schema=False)
    # In order of time, so that it does not matter in which order the runs are named.
    for episode in sorted(dataset, key=lambda episode: (episode.start_time, episode.index)):
        if len(episode):
            failed[group_of(episode)] |= episode.outcome == Outcome.FAILED
    if len(failed) < len(names):
        raise SplitError(
            f"{', '.join(str(run.path) for run in dataset.runs)}: {len(failed)} episodes that do "
            f"not repeat each other cannot make the parts {', '.join(names)}: record more, or "
            "name a table of splits with data.splits=FILE"
        )
    shares = {name: FRACTIONS[name] for name in FRACTIONS if name in names}
    shares["train"] = shares.get("train", 0.0) + 1.0 - sum(shares.values())
    groups = list(failed)
    order = [groups[index] for index in dealt(np.array(list(failed.values())), _SEED)]
    ends = _ends(len(order), list(shares.values()))
    return {
        name: Part(name, frozenset(order[begin:end]))
        for name, begin, end in zip(shares, [0, *ends], ends, strict=False)
    }


def dealt(failed: np.ndarray, seed: int) -> np.ndarray:
    """Indices in a random order in which every stretch holds its share of failures.

    Args:
        failed: (E,) bool.
        seed: of the order.
    """
    rng = np.random.default_rng(seed)
    place = np.empty(len(failed))
    for kind in (False, True):
        ours = np.flatnonzero(failed == kind)
        place[ours[rng.permutation(len(ours))]] = (np.arange(len(ours)) + 0.5) / max(1, len(ours))
    return np.argsort(place, kind="stable")


def _ends(number: int, shares: Sequence[float]) -> list[int]:
    """Where each part ends; every part gets one at least."""
    sizes = [max(1, round(number * share)) for share in shares]
    while sum(sizes) != number:
        sizes[int(np.argmax(sizes))] += 1 if sum(sizes) < number else -1
    return np.cumsum(sizes).tolist()
