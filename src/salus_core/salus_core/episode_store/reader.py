"""Reads runs. Nothing is loaded before it is asked for; only committed episodes are seen."""

import glob
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from salus_core.episode_store.run_folder import DATA, METADATA
from salus_core.episode_store.schema import EPISODE_COLUMNS, EPISODE_ENDS, SCHEMA_VERSION, Fault
from salus_core.failures import HORIZONS_S, FailureType, Outcome
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
    failure: FailureType
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
        )


class Run(Sequence[Episode]):
    """A run's committed episodes: `len(run)`, `run[i]`, `for episode in run`.

    Attributes:
        path: its folder.
        attributes: of data.zarr: names, units, rates, policy identity.
        metadata: content of metadata.json.
        ends: (E,) int64, first row after each episode.
        step_keys: keys below data/ but those of images.
        cameras: names, in the order of the schema.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.ends = committed_ends(self.path)
        group = _open_group(self.path)
        self.attributes: dict[str, Any] = dict(group.attrs)
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
        values["failure"] = FailureType(values.pop("failure_type"))
        start = int(self.ends[index - 1]) if index else 0
        return Episode(run=self, index=index, start=start, stop=int(self.ends[index]), **values)

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


def open_run(path: Path | str) -> Run:
    """Open a run, finished or still being written.

    Raises:
        NotARunError: it is not one.
    """
    return Run(path)


def open_dataset(paths: Iterable[Path | str] | Path | str, same_schema: bool = True) -> Dataset:
    """Open several runs as one data set.

    Args:
        paths: runs, folders of runs, or glob patterns of either.
        same_schema: insist that the signals of all runs are comparable.

    Raises:
        NotARunError: a path holds no run.
        ValueError: the runs' signals are not comparable; the message names two runs that differ.
    """
    if isinstance(paths, Path | str):
        paths = [paths]
    found: dict[Path, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_find_runs(str(path))))
    runs = [open_run(path) for path in found]
    if not runs:
        raise NotARunError("no path was given")
    if same_schema:
        first = runs[0]
        for run in runs[1:]:
            for name in ("schema_hash", "signal_names", "control_period"):
                if run.attributes[name] != first.attributes[name]:
                    raise ValueError(
                        f"{first.path} and {run.path} cannot be one data set: {name} is "
                        f"{first.attributes[name]!r} and {run.attributes[name]!r}"
                    )
    return Dataset(runs)


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
    if found != SCHEMA_VERSION:
        raise NotARunError(
            f"{path} has schema version {found}, this program reads version {SCHEMA_VERSION}"
        )
    return group


def _read_metadata(path: Path) -> dict[str, Any]:
    try:
        return json.loads((path / METADATA).read_text())
    except (OSError, ValueError) as error:
        raise NotARunError(f"{path / METADATA} cannot be read: {error}") from error


def _find_runs(pattern: str) -> list[Path]:
    matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
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
