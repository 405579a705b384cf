# SPDX-License-Identifier: Apache-2.0
"""Reads runs. Nothing is loaded before it is asked for; only committed episodes are seen."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from salus_core.actions import ActionSpec
from salus_core.episode_store.episodes import EPISODE_COLUMNS, EPISODE_ENDS, Fault
from salus_core.episode_store.run_folder import DATA, METADATA
from salus_core.episode_store.versions import READABLE, current_attributes
from salus_core.failures import HORIZONS_S, Outcome, Taxonomy, checked_horizons
from salus_core.labels import Labels, failure_labels


class NotARunError(ValueError):
    """A path does not hold a run that can be read; the message says what is missing."""


@dataclass(frozen=True)
class Episode:
    """One committed episode; arrays are read when asked for.

    Attributes:
        run: that it belongs to.
        index: within the run.
        start: its first row in the run's arrays.
        stop: the row after its last.
        number: the world's count of resets.
        failure: code of its type in the run's taxonomy, as of FailureType; 0: none.
        onset_step: of the failure; -1: none. May equal `length`.
        start_time: wall clock, seconds since 1970.

    The other attributes are those of EpisodeStart and EpisodeEnd.
    """

    run: "Run"
    index: int
    start: int
    stop: int
    number: int
    seed: int
    instruction: str
    task: str
    difficulty: str
    fault_profile: str
    faults: tuple[Fault, ...]
    target_object: str
    goal_pose: tuple[float, ...]
    goal_radius: float
    max_steps: int
    lockstep: bool
    outcome: Outcome
    failure: int
    onset_step: int
    gaps: int
    intervened: bool
    commands_missed: int
    predictor: str
    predictor_hash: str
    start_time: float

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def length(self) -> int:
        """Steps."""
        return self.stop - self.start

    @property
    def failure_name(self) -> str:
        """Name of its failure type; empty: none."""
        return self.run.taxonomy.name(self.failure)

    def __getitem__(self, key: str) -> np.ndarray:
        """Read one array: (length, ...); "image/front" and the like for images."""
        return np.asarray(self.run.source(key)[self.start : self.stop])

    def read(self, keys: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Read several arrays, (length, ...) each.

        Args:
            keys: None: all but images.
        """
        return {key: self[key] for key in (self.run.step_keys if keys is None else keys)}

    def images(self, camera: str, steps: slice | int = slice(None)) -> np.ndarray:
        """Read images of some steps, (n, H, W, 3) uint8, or of one step, (H, W, 3).

        Args:
            camera: its name.
            steps: relative to the episode, as in `range(length)[steps]`.
        """
        chosen = range(self.start, self.stop)[steps]
        array = self.run.array(f"image/{camera}")
        if isinstance(chosen, int):
            return np.asarray(array[chosen])
        if len(chosen) == 0:
            return np.empty((0, *array.shape[1:]), np.uint8)
        low, high = min(chosen[0], chosen[-1]), max(chosen[0], chosen[-1]) + 1
        return np.asarray(array[low:high])[:: chosen.step]

    def labels(self, horizons: Sequence[float] = HORIZONS_S) -> Labels:
        """Labels of its steps, derived from the outcome: see `failure_labels`."""
        return failure_labels(
            length=self.length,
            outcome=self.outcome,
            failure=self.failure,
            onset_step=self.onset_step,
            control_period=self.run.control_period,
            intervened=self.intervened,
            horizons=horizons,
            taxonomy=self.run.taxonomy,
        )


class Run(Sequence[Episode]):
    """A run's committed episodes: `len(run)`, `run[i]`, `for episode in run`.

    Attributes:
        path: its folder, as it was given.
        real_path: its folder without symbolic links: what a run is told from others by.
        attributes: of data.zarr: names, units, rates, policy identity; of older runs as
            `current_attributes` reads them.
        action: what the numbers of its actions mean.
        policy_action: the policy's own; None: it recorded none.
        taxonomy: its failure types.
        horizons: [s] of the forecasts that it holds.
        metadata: content of metadata.json.
        ends: (E,) int64, first row after each episode.
        step_keys: keys below data/ but those of images.
        cameras: names, in the order of the schema.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.real_path = Path(os.path.realpath(path))
        self.ends = committed_ends(self.path)
        group = _open_group(self.path)
        try:
            self._describe(current_attributes(dict(group.attrs)))
        except (KeyError, TypeError, ValueError) as error:
            raise NotARunError(f"{self.path / DATA}: its attributes say: {error}") from error
        self.metadata: dict[str, Any] = _read_metadata(self.path)
        self.cameras: tuple[str, ...] = tuple(c["name"] for c in self.attributes["cameras"])
        self.control_period = float(self.attributes["control_period"])
        self.step_keys: tuple[str, ...] = tuple(sorted(key for key in group["data"].array_keys()))
        self._group = group
        self._arrays: dict[str, zarr.Array] = {}
        self._loaded: dict[str, np.ndarray] = {}
        self._columns = {
            spec.key.removeprefix("meta/episode/"): np.asarray(group[spec.key][: len(self.ends)])
            for spec in EPISODE_COLUMNS
        }

    def _describe(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self.action = _action_of(attributes, "action", attributes["action_scale"])
        own = attributes["policy_action_names"]
        self.policy_action = _action_of(attributes, "policy_action") if own else None
        self.taxonomy = Taxonomy(
            tuple(attributes["failure_names"]), tuple(attributes["failure_descriptions"])
        )
        self.horizons = checked_horizons(attributes["horizons"])

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[Episode]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Episode:  # type: ignore[override]
        index = range(len(self))[index]
        values = {
            key: column[index].item() if isinstance(column[index], np.generic) else column[index]
            for key, column in self._columns.items()
        }
        values.pop("length")
        values["faults"] = tuple(Fault(**fault) for fault in json.loads(values["faults"]))
        values["goal_pose"] = tuple(values["goal_pose"].tolist())
        values["outcome"] = Outcome(values["outcome"])
        values["failure"] = values.pop("failure_type")
        start = int(self.ends[index - 1]) if index else 0
        return Episode(run=self, index=index, start=start, stop=int(self.ends[index]), **values)

    @cached_property
    def start_time(self) -> float:
        """Wall clock of its first episode, seconds since 1970."""
        return float(self._columns["start_time"][0]) if len(self) else 0.0

    @cached_property
    def has_seeds(self) -> bool:
        """Whether its episodes are numbered by seeds: they are not all 0."""
        return bool(self._columns["seed"].any())

    @property
    def steps(self) -> int:
        """Committed steps."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def array(self, key: str) -> zarr.Array:
        """The zarr array of a key below data/; it may be longer than `steps`.

        Raises:
            KeyError: there is no such array; the message names those that are.
        """
        if key not in self._arrays:
            known = (*self.step_keys, *(f"image/{camera}" for camera in self.cameras))
            if key not in known:
                raise KeyError(f"{self.path} has no data/{key}; it has {', '.join(known)}")
            self._arrays[key] = self._group[f"data/{key}"]
        return self._arrays[key]

    def column(self, key: str) -> np.ndarray:
        """Read one array over all committed episodes, (steps, ...)."""
        return np.asarray(self.source(key)[: self.steps])

    def load(self, keys: Iterable[str] | None = None) -> None:
        """Keep arrays in memory: episodes are slices of them then, a hundred times faster to read.

        Args:
            keys: None: all but images.
        """
        for key in self.step_keys if keys is None else keys:
            self._loaded[key] = self.column(key)

    def source(self, key: str) -> np.ndarray | zarr.Array:
        """What `load` has read of a key, else its zarr array.

        Raises:
            KeyError: there is no such array.
        """
        return self._loaded[key] if key in self._loaded else self.array(key)


def open_run(path: Path | str) -> Run:
    """Open a run, finished or still being written.

    Raises:
        NotARunError: it is not one.
    """
    return Run(path)


def _action_of(attributes: dict[str, Any], name: str, scale: Sequence[float] = ()) -> ActionSpec:
    keys = ("names", "units", "kinds")
    return ActionSpec.of(*(attributes[f"{name}_{key}"] for key in keys), scale)


def committed_ends(path: Path) -> np.ndarray:
    """meta/episode_ends of a run: (E,) int64.

    Raises:
        NotARunError: there is none.
    """
    group = _open_group(path)
    try:
        return np.asarray(group[EPISODE_ENDS.key][:])
    except (KeyError, ValueError, OSError) as error:
        raise NotARunError(f"{path}: {DATA}/{EPISODE_ENDS.key} cannot be read: {error}") from error


def _open_group(path: Path) -> zarr.Group:
    data = path / DATA
    if not path.exists():
        raise NotARunError(f"{path} does not exist")
    if not data.is_dir():
        raise NotARunError(f"{path} is not a SALUS run: it has no {DATA}")
    try:
        group = zarr.open_group(data, mode="r", zarr_format=3, use_consolidated=False)
    except (FileNotFoundError, ValueError) as error:
        raise NotARunError(f"{path} is not a SALUS run: {data} is not Zarr 3: {error}") from error
    found = group.attrs.get("salus_schema_version")
    if found is None:
        raise NotARunError(f"{path} is not a SALUS run: {data} has no salus_schema_version")
    if found not in READABLE:
        raise NotARunError(
            f"{path} has schema version {found}, this program reads versions "
            f"{', '.join(map(str, READABLE))}: read it with the version of SALUS that wrote it"
        )
    return group


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        return json.loads((path / METADATA).read_text())
    except (OSError, ValueError) as error:
        raise NotARunError(f"{path / METADATA} cannot be read: {error}") from error
