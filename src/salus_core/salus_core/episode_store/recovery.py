# SPDX-License-Identifier: Apache-2.0
"""Cleans up runs whose recorder died: what was committed stays, the open tail goes."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salus_core.episode_store import run_folder as folder
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


def recover_root(root: Path | str, files: AtomicFiles | None = None) -> list[Recovery]:
    """Clean up every run below a folder that is open and has no living writer.

    Args:
        root: folder of runs; may not exist yet.
        files: how to write.

    Returns:
        One entry per run that was cleaned up.

    Raises:
        StoreWriteError: a run cannot be written.
        NotARunError: a run's arrays cannot be read.
    """
    found = []
    for metadata in sorted(Path(root).glob(f"*/{folder.METADATA}")):
        if _is_open(metadata):
            recovery = recover_run(metadata.parent, files)
            if recovery is not None:
                found.append(recovery)
    return found


def recover_run(path: Path, files: AtomicFiles | None = None) -> Recovery | None:
    """Clean up one run. Doing it again after a death in the middle of it is safe.

    Returns:
        None if a living process is writing the run.

    Raises:
        StoreWriteError: the run cannot be written.
        NotARunError: its arrays cannot be read.
    """
    files = files or AtomicFiles()
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
        for document in sorted(data.rglob("zarr.json")):
            key = str(document.parent.relative_to(data))
            if key != EPISODE_ENDS.key:
                _cut(files, document, steps if key.startswith("data/") else episodes)
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
    folder.write_metadata(files, path, metadata)
    return recovery


def _is_open(metadata: Path) -> bool:
    try:
        content: Any = json.loads(metadata.read_text())
    except (OSError, ValueError):
        return False  # not written by a recorder, which replaces the file as a whole
    return isinstance(content, dict) and content.get("state") == "open"


def _was_committed(path: Path, note: folder.OpenEpisode, episodes: int) -> bool:
    """Whether the recorder died after the commit, before it could remove the note."""
    return episodes > 0 and open_run(path)[-1].number == note.number


def _cut(files: AtomicFiles, document: Path, rows: int) -> None:
    """Shorten one array to `rows`; files that hold only later rows are deleted."""
    content = json.loads(document.read_text())
    if content["node_type"] != "array":
        return
    if content["shape"][0] > rows:
        content["shape"][0] = rows
        files.write(document, [json.dumps(content, indent=2).encode()])
    per_file = content["chunk_grid"]["configuration"]["chunk_shape"][0]
    for shard in (document.parent / "c").glob("*"):
        if not shard.name.isdigit() or int(shard.name) * per_file < rows:
            continue
        if shard.is_dir():
            try:
                shutil.rmtree(shard)
            except OSError as error:
                raise StoreWriteError(shard, error) from error
        else:
            files.remove(shard)
