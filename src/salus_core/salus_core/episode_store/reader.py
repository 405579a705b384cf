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
from salus_core.episode_store.arrays import bounded_array, read_rows
from salus_core.episode_store.checksums import (
    CHECKSUMS,
    READ_ERRORS,
    REMEDY,
    DamagedRunError,
    NotARunError,
    require_whole,
)
from salus_core.episode_store.episodes import EPISODE_COLUMNS, EPISODE_ENDS, Fault
from salus_core.episode_store.relabelling import labelled, read_labels
from salus_core.episode_store.run_folder import DATA, METADATA
from salus_core.episode_store.versions import READABLE, current_attributes
from salus_core.failures import HORIZONS_S, Outcome, Taxonomy, checked_horizons
from salus_core.labels import Labels, failure_labels


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
        return self.run.read(key, self.start, self.stop)

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
        key = f"image/{camera}"
        if isinstance(chosen, int):
            return self.run.read(key, chosen, chosen + 1)[0]
        if len(chosen) == 0:
            return np.empty((0, *self.run.array(key).shape[1:]), np.uint8)
        low, high = min(chosen[0], chosen[-1]), max(chosen[0], chosen[-1]) + 1
        return self.run.read(key, low, high)[:: chosen.step]

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
        outcome_labels: given afterwards, by index of the episode; the last one of each counts.
    """

    def __init__(self, path: Path | str, check: bool = True):
        self.path = Path(path)
        self._check = check
        self.real_path = Path(os.path.realpath(path))
        if check:
            require_whole(self.path)
        self.ends = committed_ends(self.path)
        self._group = group = _open_group(self.path)
        try:
            self._describe(current_attributes(dict(group.attrs)))
        except READ_ERRORS as error:
            raise NotARunError(f"{self.path / DATA}: its attributes say: {error}") from error
        try:
            self.step_keys: tuple[str, ...] = tuple(sorted(group["data"].array_keys()))
        except READ_ERRORS as error:
            raise NotARunError(f"{self.path / DATA}/data cannot be read: {error}") from error
        self.metadata: dict[str, Any] = _read_metadata(self.path)
        if check and self.metadata.get("checksums") and not (self.path / CHECKSUMS).is_file():
            raise DamagedRunError(f"{self.path / CHECKSUMS} is missing; {REMEDY}")
        self._arrays: dict[str, zarr.Array] = {}
        self._loaded: dict[str, np.ndarray] = {}
        self._columns = {
            spec.key.removeprefix("meta/episode/"): self._rows(spec.key, 0, len(self.ends))
            for spec in EPISODE_COLUMNS
        }
        self.outcome_labels = read_labels(self.path, self.lengths, self.taxonomy)

    def _describe(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self.action = _action_of(attributes, "action", attributes["action_scale"])
        own = attributes["policy_action_names"]
        self.policy_action = _action_of(attributes, "policy_action") if own else None
        self.taxonomy = Taxonomy(
            tuple(attributes["failure_names"]), tuple(attributes["failure_descriptions"])
        )
        self.horizons = checked_horizons(attributes["horizons"])
        self.cameras: tuple[str, ...] = tuple(c["name"] for c in attributes["cameras"])
        self.control_period = float(attributes["control_period"])

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
        if index in self.outcome_labels:
            values.update(labelled(self.outcome_labels[index][-1], self.taxonomy))
        start = int(self.ends[index - 1]) if index else 0
        return Episode(run=self, index=index, start=start, stop=int(self.ends[index]), **values)

    @property
    def lengths(self) -> dict[int, int]:
        """Steps of each episode, by its index."""
        return dict(enumerate(np.diff(self.ends, prepend=0).tolist()))

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
            data = self.path / DATA
            rows = self.steps if self._check else 0
            self._arrays[key] = bounded_array(data, self._group, f"data/{key}", rows)
        return self._arrays[key]

    def column(self, key: str) -> np.ndarray:
        """Read one array over all committed episodes, (steps, ...)."""
        return self.read(key, 0, self.steps)

    def load(self, keys: Iterable[str] | None = None) -> None:
        """Keep arrays in memory: episodes are slices of them then, a hundred times faster to read.

        Args:
            keys: None: all but images.
        """
        for key in self.step_keys if keys is None else keys:
            self._loaded[key] = self.column(key)

    def read(self, key: str, start: int, stop: int) -> np.ndarray:
        """Read rows of one array, from what `load` has read or from the disk.

        Raises:
            KeyError: there is no such array.
            DamagedRunError: a file is damaged; not with `check` False: its rows are fill values.
        """
        if key in self._loaded:
            return self._loaded[key][start:stop]
        return read_rows(self.path / DATA, self.array(key), start, stop, self._check)

    def _rows(self, key: str, start: int, stop: int) -> np.ndarray:
        array = bounded_array(self.path / DATA, self._group, key, stop if self._check else 0)
        return read_rows(self.path / DATA, array, start, stop, self._check)


def open_run(path: Path | str, check: bool = True) -> Run:
    """Open a run, finished or still being written.

    Args:
        path: its folder.
        check: refuse a run whose files are not those that were written. False reads what can be
            read: rows in damaged files are fill values.

    Raises:
        NotARunError: it is not one.
        DamagedRunError: it is damaged.
    """
    return Run(path, check)


def _action_of(attributes: dict[str, Any], name: str, scale: Sequence[float] = ()) -> ActionSpec:
    keys = ("names", "units", "kinds")
    return ActionSpec.of(*(attributes[f"{name}_{key}"] for key in keys), scale)


def committed_ends(path: Path) -> np.ndarray:
    """meta/episode_ends of a run: (E,) int64.

    Raises:
        NotARunError: there is none.
    """
    group, key = _open_group(path), EPISODE_ENDS.key
    try:
        count = int(group[key].shape[0])
    except READ_ERRORS as error:
        raise NotARunError(f"{path}: {DATA}/{key} cannot be read: {error}") from error
    array = bounded_array(path / DATA, group, key, count)
    ends = read_rows(path / DATA, array, 0, count, True)
    if ends.ndim != 1 or (np.diff(ends, prepend=0) <= 0).any():
        raise DamagedRunError(f"{path}: {DATA}/{key} does not ascend; {REMEDY}")
    return ends


def _open_group(path: Path) -> zarr.Group:
    data = path / DATA
    if not path.exists():
        raise NotARunError(f"{path} does not exist")
    if not data.is_dir():
        raise NotARunError(f"{path} is not a SALUS run: it has no {DATA}")
    try:
        group = zarr.open_group(data, mode="r", zarr_format=3, use_consolidated=False)
    except READ_ERRORS as error:
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
    except READ_ERRORS as error:
        raise NotARunError(f"{path / METADATA} cannot be read: {error}") from error
