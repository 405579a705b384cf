# SPDX-License-Identifier: Apache-2.0
"""Writes episodes: streamed, with bounded memory, and safe against death at any moment."""

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from errno import ENOSPC
from importlib.metadata import version
from pathlib import Path
from typing import Any

import zarr
from zarr.storage import MemoryStore

from salus_core.episode_store import run_folder as folder
from salus_core.episode_store.columns import Column
from salus_core.episode_store.episodes import EPISODE_ENDS, EpisodeEnd, EpisodeStart
from salus_core.episode_store.files import AtomicFiles, StoreWriteError
from salus_core.episode_store.schema import INTERVENTION_NAMES, NO_MESSAGE, RunSchema

ACTED = range(1, len(INTERVENTION_NAMES))
"""Kinds of intervention that change the action: all but "pass"."""


class EpisodeWriter:
    """Writes one run.

    The order of a commit, each write replacing a whole file:
    1. rows of all arrays, in chunks beyond the published length;
    2. the length of data/* and meta/episode/*;
    3. the chunk of meta/episode_ends, then its length: the episode counts from here on.
    Whoever reads by episode_ends never sees a part of an episode.

    Not thread-safe: one thread uses it.

    Args:
        root: folder of runs; made if it does not exist.
        schema: what the run holds.
        env: name of the environment, part of the folder's name; may be empty.
        compression_level: of zstd, for all arrays.
        min_free_bytes: an episode does not begin with less space on the disk.
        fsync: survive a loss of power on any file system; each commit then waits for some hundred
            writes to reach the disk, which takes from 0.05 s to more than a second.
        metadata: further entries of metadata.json.
        files: how to write; None: AtomicFiles(fsync).

    Attributes:
        path: folder of the run.
        episodes: committed.
        steps: committed.
        length: steps of the episode in progress that have come.

    Raises:
        StoreWriteError: the run's folder cannot be made or written.
    """

    def __init__(
        self,
        root: Path | str,
        schema: RunSchema,
        env: str = "",
        compression_level: int = 3,
        min_free_bytes: int = 0,
        fsync: bool = False,
        metadata: Mapping[str, Any] | None = None,
        files: AtomicFiles | None = None,
    ):
        self.schema = schema
        self.episodes = 0
        self.steps = 0
        self.length = 0
        self._files = files or AtomicFiles(fsync)
        self._min_free_bytes = min_free_bytes
        self._start: EpisodeStart | None = None
        self._start_time = 0.0
        self._complete: list[bool] = []
        self._interventions: list[int] = []
        self._holds = 0
        self.path = folder.make_run_folder(Path(root), env)
        self._log = folder.RunLog(self.path)
        self._note = folder.OpenEpisodeNote(self.path)
        self._lock = folder.RunLock(self.path)
        self._lock.acquire()
        self._metadata = {
            "state": "open",
            "env": env,
            "begun": folder.now_text(),
            "ended": None,
            "episodes": 0,
            "steps": 0,
            "compression": {"codec": "zstd", "level": compression_level},
            "zarr": version("zarr"),
            **schema.attributes(),
            **(metadata or {}),
        }
        self._create(compression_level)

    def _create(self, level: int) -> None:
        self._files.write(self.path / "COLCON_IGNORE", [])
        folder.write_metadata(self._files, self.path, self._metadata)
        # data.zarr appears with all its arrays or not at all.
        half_made = self.path / (folder.DATA + ".partial")
        groups = {"": self.schema.attributes(), "data": {}, "meta": {}, "meta/episode": {}}
        if self.schema.cameras:
            groups["data/image"] = {}
        for key, attributes in groups.items():
            self._files.write(half_made / key / "zarr.json", [_group_document(attributes)])
        specs = (*self.schema.data_columns(), *self.schema.episode_columns(), EPISODE_ENDS)
        columns = {spec.key: Column(self._files, half_made, spec, level) for spec in specs}
        data = self.path / folder.DATA
        self._files.barrier()
        self._files.rename_folder(half_made, data)
        for column in columns.values():
            column.moved(data)
        self._data = {
            key.removeprefix("data/"): column
            for key, column in columns.items()
            if key.startswith("data/")
        }
        self._meta = {
            key.removeprefix("meta/episode/"): column
            for key, column in columns.items()
            if key.startswith("meta/episode/")
        }
        self._ends = columns[EPISODE_ENDS.key]
        self._log.write(f"run begun; policy {self.schema.policy or 'none'}")

    @property
    def bytes(self) -> int:
        """Size of the run on disk."""
        return self._files.bytes

    @property
    def in_episode(self) -> bool:
        """An episode has begun and is neither committed nor discarded."""
        return self._start is not None

    @property
    def number(self) -> int:
        """Number of the episode in progress; -1: none is."""
        return -1 if self._start is None else self._start.number

    def begin_episode(self, start: EpisodeStart) -> None:
        """Begin an episode.

        Raises:
            RuntimeError: another one is in progress.
            StoreWriteError: too little space on the disk, or it refuses.
        """
        if self._start is not None:
            raise RuntimeError(f"episode {self._start.number} is still in progress")
        free = shutil.disk_usage(self.path).free
        if free < self._min_free_bytes:
            raise StoreWriteError(
                self.path,
                OSError(
                    ENOSPC,
                    f"{os.strerror(ENOSPC)}: {free / 1e6:.0f} MB free, "
                    f"min_free_bytes asks for {self._min_free_bytes / 1e6:.0f} MB",
                ),
            )
        self._note.begin(start.number)
        self._start = start
        self._start_time = time.time()

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a step of the episode in progress.

        Steps that were left out before it become gaps: rows of fill values with `complete` False.

        Args:
            row: value per key of data/; keys that are left out get the fill value, those of images
                are image/<camera>. `step` and `complete` are required.

        Raises:
            RuntimeError: no episode is in progress.
            ValueError: a key is unknown, a value has the wrong shape, or the step is not after the
                last one.
            StoreWriteError: the disk refused.
        """
        if self._start is None:
            raise RuntimeError("no episode is in progress")
        unknown = row.keys() - self._data.keys()
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
        step = int(row["step"])
        if step < self.length:
            raise ValueError(f"step {step} comes after step {self.length - 1}")
        self._check_shapes(row)
        self._fill_up(step)
        self._append(row)
        self._note.update(self.length)

    def hold(self, reason: str) -> None:
        """Note that the robot was held between two steps, as no proposal came: a missed command.

        Raises:
            StoreWriteError: the disk refused.
        """
        self._holds += 1
        self._log.write(f"episode {self.number}: {reason}", "WARNING")

    def commit(self, end: EpisodeEnd) -> int:
        """Make the episode in progress count, with exactly `end.length` rows.

        Rows after them are dropped, rows that are missing become gaps.

        Returns:
            Its gaps.

        Raises:
            RuntimeError: no episode is in progress.
            TaxonomyError: the run's taxonomy has no such failure type.
            StoreWriteError: the disk refused; it does not count then, those before it do.
        """
        if self._start is None:
            raise RuntimeError("no episode is in progress")
        failure = self.schema.taxonomy.name(int(end.failure)) or "none"
        self._fill_up(end.length)
        self._truncate(end.length)
        gaps = self._complete.count(False)
        for key, value in self._episode_row(self._start, end, gaps).items():
            self._meta[key].append(value)
        columns = (*self._data.values(), *self._meta.values())
        for column in columns:
            column.save()
        self._files.barrier()
        for column in columns:
            column.publish()
        self._ends.append(self.steps + end.length)
        self._ends.save()
        self._files.barrier()
        self._ends.publish()
        self._files.barrier()
        self.episodes += 1
        self.steps += end.length
        number = self._start.number
        self._finish_episode()
        self._log.write(
            f"episode {number} committed: {end.outcome.name.lower()} "
            f"({failure}), {end.length} steps, {gaps} gaps"
        )
        return gaps

    def discard(self, reason: str) -> None:
        """Forget the episode in progress.

        Raises:
            StoreWriteError: the disk refused.
        """
        if self._start is None:
            return
        number, length = self._start.number, self.length
        self._truncate(0)
        self._finish_episode()
        self.log(f"episode {number} discarded after {length} steps: {reason}", "WARNING")

    def log(self, message: str, level: str = "INFO") -> None:
        """Append a line to recorder.log.

        Raises:
            StoreWriteError: the disk refused.
        """
        self._log.write(message, level)

    def close(self) -> None:
        """End the run; an episode in progress is discarded.

        Raises:
            StoreWriteError: the disk refused.
        """
        self.discard("the recorder is closed")
        self._metadata.update(
            state="closed", ended=folder.now_text(), episodes=self.episodes, steps=self.steps
        )
        self._log.write(f"run ended: {self.episodes} episodes, {self.steps} steps")
        folder.finish(self._files, self.path, self._metadata, self._files.sums(self.path))
        self._lock.release()

    def abandon(self, error: str) -> None:
        """Let go of the run after a StoreWriteError; the next `recover_root` cleans it up."""
        self._note.leave()
        self._log.try_write(error, "ERROR")
        self._lock.release()

    def _finish_episode(self) -> None:
        self._start = None
        self.length = 0
        self._complete.clear()
        self._interventions.clear()
        self._holds = 0
        self._note.end()

    def _check_shapes(self, row: Mapping[str, Any]) -> None:
        for key, value in row.items():
            self._data[key].check(value)

    def _append(self, row: Mapping[str, Any]) -> None:
        for key, column in self._data.items():
            column.append(row.get(key, column.fill))
        self._complete.append(bool(row["complete"]))
        self._interventions.append(int(row.get("intervention", NO_MESSAGE)))
        self.length += 1

    def _fill_up(self, length: int) -> None:
        while self.length < length:
            self._append({"step": self.length, "complete": False})

    def _truncate(self, length: int) -> None:
        for column in self._data.values():
            column.truncate(self.steps + length)
        del self._complete[length:], self._interventions[length:]
        self.length = length

    def _episode_row(self, start: EpisodeStart, end: EpisodeEnd, gaps: int) -> dict[str, Any]:
        return {
            **{key: value for key, value in asdict(start).items()},
            "faults": json.dumps([asdict(fault) for fault in end.faults]),
            "outcome": int(end.outcome),
            "failure_type": int(end.failure),
            "onset_step": end.onset_step,
            "length": end.length,
            "gaps": gaps,
            "intervened": any(kind in ACTED for kind in self._interventions),
            "commands_missed": end.commands_missed + self._holds,
            "predictor": end.predictor,
            "predictor_hash": end.predictor_hash,
            "start_time": self._start_time,
        }


def _group_document(attributes: Mapping[str, Any]) -> bytes:
    content: dict[str, Any] = {}
    zarr.create_group(
        MemoryStore(content), attributes=json.loads(json.dumps(attributes)), zarr_format=3
    )
    return content["zarr.json"].to_bytes()
