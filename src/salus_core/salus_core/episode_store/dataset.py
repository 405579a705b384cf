# SPDX-License-Identifier: Apache-2.0
"""Several runs as one data set."""

import glob
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from salus_core.episode_store.checksums import NotARunError
from salus_core.episode_store.reader import Episode, Run, open_run
from salus_core.episode_store.run_folder import DATA


class Dataset(Sequence[Episode]):
    """The episodes of several runs, end to end."""

    def __init__(self, runs: Sequence[Run]):
        self.runs = tuple(runs)
        self._first = np.cumsum([0, *(len(run) for run in self.runs)])

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, index: int) -> Episode:  # type: ignore[override]
        index = range(len(self))[index]
        run = int(np.searchsorted(self._first, index, side="right")) - 1
        return self.runs[run][index - int(self._first[run])]

    def load(self, keys: Iterable[str] | None = None) -> None:
        """Keep arrays of all runs in memory: see `Run.load`."""
        keys = None if keys is None else tuple(keys)
        for run in self.runs:
            run.load(keys)

    def column(self, key: str) -> np.ndarray:
        """Read one array over all episodes of all runs, (steps, ...)."""
        return np.concatenate([run.column(key) for run in self.runs])


COMPARED = (
    "schema_hash",
    "signal_names",
    "control_period",
    "action_names",
    "action_kinds",
    "failure_names",
)
"""Attributes in which the runs of a data set must not differ."""


class RepeatedRun(UserWarning):
    """A run was given twice; the message says how."""


def open_dataset(paths: Iterable[Path | str] | Path | str, same_schema: bool = True) -> Dataset:
    """Open several runs as one data set.

    A run that is given twice, however spelled, counts once, with a RepeatedRun warning.

    Args:
        paths: runs, folders of runs, or glob patterns of either.
        same_schema: insist that signals, actions and failure types of all runs are comparable.

    Raises:
        NotARunError: a path holds no run.
        ValueError: the runs' signals are not comparable; the message names two runs that differ.
    """
    if isinstance(paths, Path | str):
        paths = [paths]
    found: dict[str, Path] = {}
    for path in paths:
        for run in find_runs(str(path)):
            first = found.setdefault(os.path.realpath(run), run)
            if first is not run:
                again = f"{first} and {run} are one run" if first != run else f"{run} came twice"
                warnings.warn(f"{again}: it is read once", RepeatedRun, stacklevel=2)
    runs = [open_run(path) for path in found.values()]
    if not runs:
        raise NotARunError("no path was given")
    if same_schema:
        first = runs[0]
        for run in runs[1:]:
            for name in COMPARED:
                if run.attributes[name] != first.attributes[name]:
                    raise ValueError(
                        f"{first.path} and {run.path} cannot be one data set: {name} is "
                        f"{first.attributes[name]!r} and {run.attributes[name]!r}"
                    )
    return Dataset(runs)


def find_runs(pattern: str) -> list[Path]:
    """The runs that a path or pattern names, itself or one level below.

    Raises:
        NotARunError: there is none.
    """
    found = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
    # In folders of data sets, so that no build looks into them; nobody means it by a pattern.
    matches = [match for match in found if match.name != "COLCON_IGNORE"]
    if not matches:
        raise NotARunError(f"{pattern} does not exist or matches nothing")
    runs = []
    for match in matches:
        if (match / DATA).is_dir():
            runs.append(match)
            continue
        inside = sorted(data.parent for data in match.glob(f"*/{DATA}"))
        if not inside:
            raise NotARunError(f"{match} is no SALUS run and holds none: no {DATA}")
        runs.extend(inside)
    return runs
