# SPDX-License-Identifier: Apache-2.0
"""Which episodes belong to which split: fixed by seed, so nothing can leak between two of them."""

from __future__ import annotations

import itertools
import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salus_core.episode_store import Episode
from salus_core.paths import PathError, read_yaml

STANDARD = "standard"
"""Name of the standard data set's splits, in place of a file."""


class SplitError(ValueError):
    """Splits are malformed or overlap; the message names file, split and field."""


@dataclass(frozen=True)
class Split:
    """Episodes of some seeds.

    Attributes:
        name: of the split.
        first: first seed.
        last: last seed, included.
        runs: folders (or glob patterns) that it is read from; empty: those given by the caller.
        tasks: only episodes of these, and those whose task is not known; empty: all.
    """

    name: str
    first: int
    last: int
    runs: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()

    def holds(self, episode: Episode) -> bool:
        """Whether an episode belongs to it."""
        ours = not self.tasks or not episode.task or episode.task in self.tasks
        return self.first <= episode.seed <= self.last and ours

    def __str__(self) -> str:
        of = f"of {', '.join(self.tasks)} " if self.tasks else ""
        return f"{of}with seeds {self.first} to {self.last} (split '{self.name}')"


def load_splits(path: Path | str) -> dict[str, Split]:
    """Read the splits of a YAML file; "standard" names the one that the ROS package salus holds.

    An entry below `splits` gives its seeds as `seeds: [first, last]`, or as `first_seed` with a
    `seeds_per_split` for the file; it may name `runs` and `tasks`.

    Raises:
        SplitError: the file is missing or malformed, or two splits share seeds.
    """
    path = _standard() if path == STANDARD else path
    try:
        content = read_yaml(Path(path).expanduser())
    except (PathError, RuntimeError) as error:  # RuntimeError: of a home that is not known
        raise SplitError(str(error)) from error
    if not isinstance(content, dict) or not isinstance(content.get("splits"), dict):
        raise SplitError(f"{path}: lacks the section 'splits'")
    size = content.get("seeds_per_split")
    splits = {
        name: _split(str(path), name, entry, size) for name, entry in content["splits"].items()
    }
    require_disjoint(splits)
    return splits


def require_disjoint(splits: Mapping[str, Split]) -> None:
    """Check that no seed belongs to two splits, unless they are of different tasks.

    Raises:
        SplitError: one does.
    """
    ordered = sorted(splits.values(), key=lambda split: split.first)
    for one, other in itertools.combinations(ordered, 2):
        apart = one.tasks and other.tasks and not set(one.tasks) & set(other.tasks)
        if other.first <= one.last and not apart:
            raise SplitError(
                f"splits '{one.name}' and '{other.name}' share seeds "
                f"{other.first} to {min(one.last, other.last)}"
            )


def _standard() -> Path:
    """The table of the standard data set; ROS's search path says where the package salus is."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix) / "share" / "salus" / "config" / "dataset.yaml"
        if prefix and path.is_file():
            return path
    raise SplitError(
        f"the splits '{STANDARD}' are config/dataset.yaml of the ROS package salus, which is not "
        "on AMENT_PREFIX_PATH: source its setup.bash, or name the file"
    )


def _split(path: str, name: str, entry: Any, size: Any) -> Split:
    if not isinstance(entry, dict):
        raise SplitError(f"{path}: split '{name}' must be a mapping with 'seeds: [first, last]'")
    if "seeds" in entry:
        seeds = entry["seeds"]
        if not (isinstance(seeds, list) and len(seeds) == 2 and all(map(_is_seed, seeds))):
            raise SplitError(
                f"{path}: 'seeds' of split '{name}' must be [first, last], "
                f"got {reprlib.repr(seeds)}"
            )
        first, last = seeds
    elif _is_seed(entry.get("first_seed")) and _is_seed(size) and size > 0:
        first, last = entry["first_seed"], entry["first_seed"] + size - 1
    else:
        raise SplitError(
            f"{path}: split '{name}' needs 'seeds: [first, last]', or 'first_seed' and a "
            "'seeds_per_split' for the file"
        )
    if last < first:
        raise SplitError(f"{path}: split '{name}' ends at seed {last}, before its first {first}")
    tasks = entry.get("tasks", ())
    if not (isinstance(tasks, list | tuple) and all(isinstance(task, str) for task in tasks)):
        raise SplitError(
            f"{path}: 'tasks' of split '{name}' must be a list, got {reprlib.repr(tasks)}"
        )
    runs = entry.get("runs", ())
    runs = (runs,) if isinstance(runs, str) else tuple(runs)
    return Split(name, first, last, runs, tuple(tasks))


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
