# SPDX-License-Identifier: Apache-2.0
"""A folder of a predictor's versions: one is current, and each says where it comes from."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from salus_core.paths import PathError, read_bounded
from salus_core.predictors.checkpoint import load_checkpoint, write_json
from salus_core.predictors.settings import SettingsError, build

LINEAGE = "lineage.json"
CURRENT = "current"
"""A link to the version in use: what a node's parameter `checkpoint` names."""
MAX_BYTES = 16 * 2**20


class LineageError(ValueError):
    """A folder of versions cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Version:
    """One checkpoint.

    Attributes:
        name: of its folder.
        hash: of the checkpoint.
        parent: name of the version that it was compared with; empty: it is the first.
        accepted: it took its parent's place.
        reason: why, or why not, in words.
        comparison: figures of the comparison.
        learned_from: summary of the episodes that it was made from.
    """

    name: str
    hash: str
    parent: str = ""
    accepted: bool = True
    reason: str = ""
    comparison: dict[str, Any] = field(default_factory=dict)
    learned_from: str = ""


@dataclass(frozen=True)
class _Content:
    """What the file holds."""

    current: str = ""
    test: str = ""
    versions: tuple[Version, ...] = ()


class Lineage:
    """The versions below a folder.

    Args:
        folder: made by `begin`.

    Raises:
        LineageError: it holds no versions, or its file is damaged.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        path = folder / LINEAGE
        if not path.is_file():
            raise LineageError(
                f"{folder} holds no {LINEAGE}: begin with `salus improve {folder} --init "
                "CHECKPOINT`"
            )
        try:
            content = json.loads(read_bounded(path, MAX_BYTES))
            self._content = build(_Content, content, str(path))
        except (PathError, SettingsError, ValueError, RecursionError) as error:
            raise LineageError(f"{path} cannot be read: {str(error)[:300]}") from error
        if not any(one.name == self._content.current for one in self.versions):
            raise LineageError(f"{path} names no version that is current")
        link = folder / CURRENT
        if not link.is_symlink() or os.readlink(link) != self._content.current:
            _link(folder, self._content.current)  # it was stopped between the two

    @classmethod
    def begin(cls, folder: Path, checkpoint: Path) -> Lineage:
        """Make a folder with a first version.

        Raises:
            LineageError: the folder holds versions.
            CheckpointError: the checkpoint cannot be used.
        """
        if (folder / LINEAGE).exists():
            raise LineageError(f"{folder} holds versions: leave --init out")
        predictor, manifest = load_checkpoint(checkpoint)
        folder.mkdir(parents=True, exist_ok=True)
        _copy(checkpoint, folder / "0001")
        first = Version("0001", predictor.hash, learned_from=summary_of(manifest))
        write_json(folder / LINEAGE, asdict(_Content("0001", "", (first,))))
        _link(folder, "0001")
        return cls(folder)

    @property
    def versions(self) -> tuple[Version, ...]:
        """All of them, the oldest first."""
        return self._content.versions

    @property
    def current(self) -> Version:
        """The one in use."""
        return next(one for one in self.versions if one.name == self._content.current)

    @property
    def test(self) -> str:
        """Digest of the episodes that all versions are compared on; empty: none were yet."""
        return self._content.test

    def path(self, version: Version) -> Path:
        """Of a version's checkpoint."""
        return self.folder / version.name

    def add(
        self,
        checkpoint: Path,
        test: str,
        accepted: bool,
        reason: str,
        comparison: Mapping[str, Any],
    ) -> Version:
        """Keep a candidate, and put it in the current one's place if it is accepted.

        Args:
            checkpoint: of the candidate.
            test: digest of the episodes that it was compared on.
            accepted: it takes the place.
            reason: in words.
            comparison: figures.
        """
        predictor, manifest = load_checkpoint(checkpoint)
        taken = {one.name for one in self.versions}
        taken |= {entry.name for entry in self.folder.iterdir()}  # of a call that was stopped
        name = next(name for name in (f"{n:04d}" for n in itertools.count(1)) if name not in taken)
        _copy(checkpoint, self.folder / name)
        version = Version(
            name,
            predictor.hash,
            self.current.name,
            accepted,
            reason,
            dict(comparison),
            summary_of(manifest),
        )
        current = name if accepted else self._content.current
        self._write(_Content(current, test, (*self.versions, version)))
        return version

    def roll_back(self) -> Version:
        """Put the current version's parent in its place.

        Raises:
            LineageError: the current one is the first.
        """
        parent = self.current.parent
        if not parent:
            raise LineageError(f"version {self.current.name} is the first: there is none before")
        self._write(_Content(parent, self._content.test, self.versions))
        return self.current

    def _write(self, content: _Content) -> None:
        write_json(self.folder / LINEAGE, asdict(content))
        self._content = content
        _link(self.folder, content.current)


def summary_of(manifest: Mapping[str, Any]) -> str:
    """What a checkpoint was trained on, in words."""
    return str(manifest.get("data", {}).get("train", {}).get("summary", ""))


def _copy(checkpoint: Path, folder: Path) -> None:
    """Copy a checkpoint's two files."""
    folder.mkdir()
    for name in ("manifest.json", "weights.safetensors"):
        shutil.copyfile(checkpoint / name, folder / name)


def _link(folder: Path, name: str) -> None:
    part = folder / f".{CURRENT}.part"
    part.unlink(missing_ok=True)
    part.symlink_to(name)
    os.replace(part, folder / CURRENT)
