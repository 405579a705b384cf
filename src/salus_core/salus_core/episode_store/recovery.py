# SPDX-License-Identifier: Apache-2.0
"""Cleans up runs whose recorder died: what was committed stays, the open tail goes."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salus_core.episode_store import run_folder as folder
from salus_core.episode_store.checksums import (
    CHECKSUMS,
    READ_ERRORS,
    DamagedRunError,
    NotARunError,
    Sum,
    files_below,
    odd_entry,
    sum_of_file,
)
from salus_core.episode_store.episodes import EPISODE_ENDS
from salus_core.episode_store.files import PARTIAL_SUFFIX, AtomicFiles, StoreWriteError
from salus_core.episode_store.reader import committed_ends, open_run


@dataclass(frozen=True)
class Recovery:
    """What was found in one run.

    Attributes:
        path: of the run.
        episodes: committed, and kept.
        steps: of those episodes.
        dropped_episode: number of the episode that was in progress; None: none was.
        dropped_steps: its steps that had reached the writer.
    """

    path: Path
    episodes: int
    steps: int
    dropped_episode: int | None
    dropped_steps: int

    def __str__(self) -> str:
        kept = f"kept {self.episodes} committed episodes ({self.steps} steps)"
        if self.dropped_episode is None:
            return f"{self.path}: the recorder died between episodes; nothing dropped, {kept}"
        which = f"episode {self.dropped_episode}" if self.dropped_episode >= 0 else "an episode"
        return (
            f"{self.path}: the recorder died in {which}; "
            f"dropped its {self.dropped_steps} steps, {kept}"
        )


@dataclass(frozen=True)
class Unrecovered:
    """A run that was left as it is.

    Attributes:
        path: of the run.
        reason: why it cannot be cleaned up.
    """

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path} is left as it is: {self.reason}; move it elsewhere, or delete it"


def recover_root(
    root: Path | str, files: AtomicFiles | None = None
) -> list[Recovery | Unrecovered]:
    """Clean up every run below a folder that is open and has no living writer.

    Args:
        root: folder of runs; may not exist yet.
        files: how to write.

    Returns:
        One entry per run that was cleaned up, or that cannot be.

    Raises:
        StoreWriteError: a run cannot be written.
    """
    found: list[Recovery | Unrecovered] = []
    for metadata in sorted(Path(root).glob(f"*/{folder.METADATA}")):
        path = metadata.parent
        odd = odd_entry(path)
        if odd:
            if _may_be_open(path):
                reason = f"{odd} is neither a file nor a folder, which no recorder makes"
                found.append(Unrecovered(path, reason))
        elif _is_open(metadata):
            try:
                recovery = recover_run(path, files)
            except NotARunError as error:
                found.append(Unrecovered(path, str(error)))
            else:
                found += [recovery] if recovery is not None else []
    return found


def recover_run(path: Path, files: AtomicFiles | None = None) -> Recovery | None:
    """Clean up one run. Doing it again after a death in the middle of it is safe.

    Returns:
        None if a living process is writing the run.

    Raises:
        StoreWriteError: the run cannot be written.
        NotARunError: its arrays cannot be read, or its folder holds links or pipes.
    """
    files = files or AtomicFiles()
    odd = odd_entry(path)
    if odd:
        raise NotARunError(f"{odd} is neither a file nor a folder, which no recorder makes")
    lock = folder.RunLock(path)
    try:
        return _recover(path, files) if lock.acquire() else None
    finally:
        lock.release()


def _recover(path: Path, files: AtomicFiles) -> Recovery:
    data = path / folder.DATA
    episodes, steps = 0, 0
    if data.is_dir():
        ends = committed_ends(path)
        episodes, steps = len(ends), int(ends[-1]) if len(ends) else 0
        arrays = _arrays(data, episodes, steps)  # all are looked at before the first is cut
        for array in arrays:
            _cut(files, array)
    half_made = path / (folder.DATA + PARTIAL_SUFFIX)
    if half_made.is_dir():
        shutil.rmtree(half_made)
    for partial in path.rglob(f"*{PARTIAL_SUFFIX}"):
        files.remove(partial)
    note = folder.OpenEpisodeNote.read(path)
    if note is not None and data.is_dir() and _was_committed(path, note, episodes):
        note = None
    recovery = Recovery(
        path=path,
        episodes=episodes,
        steps=steps,
        dropped_episode=None if note is None else note.number,
        dropped_steps=0 if note is None else note.steps,
    )
    folder.RunLog(path).write(f"cleaned up after a sudden death: {recovery}", "WARNING")
    metadata = json.loads((path / folder.METADATA).read_text())
    metadata.update(state="recovered", ended=folder.now_text(), episodes=episodes, steps=steps)
    files.remove(path / folder.OPEN_EPISODE)
    files.remove(path / CHECKSUMS)
    folder.finish(files, path, metadata, _sums(path))
    return recovery


def _sums(path: Path) -> dict[str, Sum]:
    """Of the files as they are: their inner chunks have checksums from when they were written."""
    try:
        return {
            name: sum_of_file(path / name)
            for name, _ in files_below(path)
            if name not in (folder.LOCK, folder.METADATA, folder.LOG)
        }
    except OSError as error:
        raise StoreWriteError(path, error) from error


def _may_be_open(path: Path) -> bool:
    """Whether the metadata says so; not looked at where it is a link or a pipe."""
    metadata = path / folder.METADATA
    return not metadata.is_file() or metadata.is_symlink() or _is_open(metadata)


def _is_open(metadata: Path) -> bool:
    try:
        content: Any = json.loads(metadata.read_text())
    except READ_ERRORS:
        return False  # not written by a recorder, which replaces the file as a whole
    return isinstance(content, dict) and content.get("state") == "open"


def _was_committed(path: Path, note: folder.OpenEpisode, episodes: int) -> bool:
    """Whether the recorder died after the commit, before it could remove the note."""
    return episodes > 0 and open_run(path)[-1].number == note.number


@dataclass(frozen=True)
class _Array:
    """One array, and how many of its rows are committed."""

    document: Path
    content: dict[str, Any]
    per_file: int
    rows: int


def _arrays(data: Path, episodes: int, steps: int) -> list[_Array]:
    """Every array but episode_ends.

    Raises:
        NotARunError: a document makes no sense, or an array is shorter than what is committed.
    """
    found = []
    for document in sorted(data.rglob("zarr.json")):
        key = str(document.parent.relative_to(data))
        rows = steps if key.startswith("data/") else episodes
        try:
            content = json.loads(document.read_text())
            if content["node_type"] != "array" or key == EPISODE_ENDS.key:
                continue
            length = int(content["shape"][0])
            per_file = int(content["chunk_grid"]["configuration"]["chunk_shape"][0])
        except READ_ERRORS as error:
            raise NotARunError(f"{document} makes no sense: {error!r}") from error
        if per_file < 1 or length < rows:
            raise DamagedRunError(f"{document} has {length} rows, {rows} are committed")
        found.append(_Array(document, content, per_file, rows))
    return found


def _cut(files: AtomicFiles, array: _Array) -> None:
    """Shorten an array to its committed rows; files that hold only later rows are deleted."""
    if array.content["shape"][0] > array.rows:
        array.content["shape"][0] = array.rows
        files.write(array.document, [json.dumps(array.content, indent=2).encode()])
    for shard in (array.document.parent / "c").glob("*"):
        if not shard.name.isdigit() or int(shard.name) * array.per_file < array.rows:
            continue
        if shard.is_dir():
            try:
                shutil.rmtree(shard)
            except OSError as error:
                raise StoreWriteError(shard, error) from error
        else:
            files.remove(shard)
