# SPDX-License-Identifier: Apache-2.0
"""What a data set consists of: its settings, and the splits that config/dataset.yaml fixes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salus_core import data
from salus_core.paths import read_yaml

RUN_HASHES = {"policy_hash": "weights", "schema_hash": "signals"}
"""Attributes of a run that must be the same in all runs of a data set, and of what they are."""

_KEYS = {"first_seed", "seeds", "runs", "profile", "difficulty", "tasks"}


class DatasetError(ValueError):
    """A data set cannot be collected as asked for; the message says what to change."""


@dataclass(frozen=True)
class Settings:
    """What all episodes of one data set have in common; kept in the metadata of its runs.

    Attributes:
        split: name of the split; empty: none.
        profile: fault profile.
        difficulty: of the scenes.
        tasks: of which one is drawn per episode; empty: all that the world has.
        policy: name of the backend.
        checkpoint: as the backend takes it.
        cameras: whose images are recorded.
        scene_hash: SHA-256 of the scene file.
        predictor: folder of the checkpoint that forecasts; empty: none does.
        predictor_hash: SHA-256 of its weights.
        interventions: table by which a supervisor acts on the forecasts; empty: nobody does.
        interventions_hash: SHA-256 of what it says.
    """

    split: str = ""
    profile: str = "mixed"
    difficulty: str = "standard"
    tasks: tuple[str, ...] = ()
    policy: str = "embedded"
    checkpoint: str = "default"
    cameras: tuple[str, ...] = ()
    scene_hash: str = ""
    predictor: str = ""
    predictor_hash: str = ""
    interventions: str = ""
    interventions_hash: str = ""

    @property
    def comparable(self) -> dict[str, Any]:
        """What must not change within one folder; for weights and signals see RUN_HASHES."""
        return {
            "split": self.split,
            "profile": self.profile,
            "difficulty": self.difficulty,
            "tasks": list(self.tasks),
            "cameras": list(self.cameras),
            "scene_hash": self.scene_hash,
            "predictor_hash": self.predictor_hash,
            "interventions_hash": self.interventions_hash,
        }


@dataclass(frozen=True)
class Split:
    """One split of the standard data set.

    Attributes:
        name: its key in the file.
        seeds: all that belong to it.
        profile: fault profile.
        difficulty: of the scenes.
        tasks: of which one is drawn per episode; empty: all.
    """

    name: str
    seeds: range
    profile: str
    difficulty: str
    tasks: tuple[str, ...] = ()


def splits_file() -> Path:
    """The standard splits: config/dataset.yaml here, or in an installed SALUS workspace.

    Raises:
        DatasetError: neither is there.
    """
    name = Path("config") / "dataset.yaml"
    prefixes = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    places = [name, *(Path(prefix) / "share" / "salus" / name for prefix in prefixes)]
    for place in places:
        if place.is_file():
            return place
    raise DatasetError(
        f"the standard splits, {name}, are neither in this folder nor in an installed workspace: "
        "give the file with --splits"
    )


def load_splits(path: Path | None = None) -> dict[str, Split]:
    """Read the splits.

    Args:
        path: of the file; None: `splits_file`.

    Raises:
        DatasetError: the file is missing or malformed, or two splits share seeds.
    """
    path = path or splits_file()
    try:
        seeds = data.load_splits(path)
    except data.SplitError as error:
        raise DatasetError(str(error)) from error
    content = read_yaml(path)
    return {name: _split(content["splits"][name], seeds[name], path) for name in seeds}


def _split(entry: dict[str, Any], seeds: data.Split, path: Path) -> Split:
    unknown = sorted(entry.keys() - _KEYS)
    if unknown:
        raise DatasetError(f"{path}: split '{seeds.name}' has an unknown key '{unknown[0]}'")
    missing = sorted({"profile", "difficulty"} - entry.keys())
    if missing:
        raise DatasetError(f"{path}: split '{seeds.name}' lacks '{missing[0]}'")
    tasks = entry.get("tasks", [])
    if not isinstance(tasks, list):
        raise DatasetError(f"{path}: tasks of split '{seeds.name}' must be a list, got {tasks!r}")
    return Split(
        name=seeds.name,
        seeds=range(seeds.first, seeds.last + 1),
        profile=str(entry["profile"]),
        difficulty=str(entry["difficulty"]),
        tasks=tuple(tasks),
    )
