"""What a data set consists of: its settings, and the splits that config/dataset.yaml fixes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import get_package_share_directory

SCHEMA = 1
_KEYS = {"first_seed", "profile", "difficulty"}
_OPTIONAL = {"tasks"}


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
    """

    split: str = ""
    profile: str = "mixed"
    difficulty: str = "standard"
    tasks: tuple[str, ...] = ()
    policy: str = "embedded"
    checkpoint: str = "default"
    cameras: tuple[str, ...] = ()

    @property
    def comparable(self) -> dict[str, Any]:
        """What must not change within one folder; the weights are told apart by their hash."""
        return {
            "split": self.split,
            "profile": self.profile,
            "difficulty": self.difficulty,
            "tasks": list(self.tasks),
            "cameras": list(self.cameras),
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
    """The file that ships with SALUS."""
    return Path(get_package_share_directory("salus")) / "config" / "dataset.yaml"


def load_splits(path: Path | None = None) -> dict[str, Split]:
    """Read the splits.

    Args:
        path: of the file; None: `splits_file`.

    Raises:
        DatasetError: the file is missing or malformed, or two splits share seeds.
    """
    path = path or splits_file()
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise DatasetError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise DatasetError(f"{path}: expected 'schema: {SCHEMA}'")
    size = content.get("seeds_per_split")
    if not isinstance(size, int) or size < 1:
        raise DatasetError(f"{path}: seeds_per_split must be a positive integer, got {size!r}")
    if not isinstance(content.get("splits"), dict):
        raise DatasetError(f"{path}: lacks the section 'splits'")
    splits = {name: _split(name, entry, size, path) for name, entry in content["splits"].items()}
    ordered = sorted(splits.values(), key=lambda split: split.seeds.start)
    for one, other in pairwise(ordered):
        if other.seeds.start < one.seeds.stop:
            raise DatasetError(f"{path}: splits '{one.name}' and '{other.name}' share seeds")
    return splits


def _split(name: str, entry: Any, size: int, path: Path) -> Split:
    if not isinstance(entry, dict) or not _KEYS <= entry.keys() <= _KEYS | _OPTIONAL:
        wanted = ", ".join(sorted(_KEYS))
        raise DatasetError(f"{path}: split '{name}' must have {wanted} and may have tasks")
    first = entry["first_seed"]
    if not isinstance(first, int) or first < 0:
        raise DatasetError(f"{path}: first_seed of split '{name}' must be an integer >= 0")
    return Split(
        name=name,
        seeds=range(first, first + size),
        profile=str(entry["profile"]),
        difficulty=str(entry["difficulty"]),
        tasks=tuple(entry.get("tasks", ())),
    )
