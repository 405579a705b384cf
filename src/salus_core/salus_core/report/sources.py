# SPDX-License-Identifier: Apache-2.0
"""Which episodes an evaluation reads."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from salus_core.data import (
    DataError,
    Part,
    SplitError,
    StepData,
    load_splits,
    parts_by_fraction,
    read_steps,
)
from salus_core.data.fractions import BY_FRACTION
from salus_core.episode_store import open_dataset
from salus_core.failures import HORIZONS_S

HELD_OUT = ("heldout_fault", "heldout_task")
"""Splits that are evaluated apart where the file of splits and the runs have them."""


ROLES = ("train", "validation", "calibration")
"""Parts that a checkpoint was made from; their splits may have other names."""


class SourceError(ValueError):
    """It is not known what to read; the message says which option would tell."""


@dataclass(frozen=True)
class Parts:
    """Data of an evaluation, disjoint by seed.

    Attributes:
        test: what the figures are about.
        train: what baselines learn from; None: baselines that learn are left out.
        validation: what thresholds are chosen on; None: no figures that need one.
        calibration: what calibration and bands of other methods are made from; None: likewise.
        held_out: further test data by name: a fault or task that training has not seen.
        by_fraction: the splits by fraction that all of it comes from; empty: a table of seeds.
    """

    test: StepData
    train: StepData | None = None
    validation: StepData | None = None
    calibration: StepData | None = None
    held_out: Mapping[str, StepData] = field(default_factory=dict)
    by_fraction: Mapping[str, Part] = field(default_factory=dict)

    def items(self) -> list[tuple[str, StepData]]:
        """Name and data of each part that is there."""
        named = [
            ("train", self.train),
            ("validation", self.validation),
            ("calibration", self.calibration),
            ("test", self.test),
            *self.held_out.items(),
        ]
        return [(name, data) for name, data in named if data is not None]


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is read."""
    parser.add_argument(
        "--runs",
        nargs="+",
        metavar="PATH",
        help="runs, folders of runs or patterns; default: those the checkpoint was trained with",
    )
    parser.add_argument(
        "--splits",
        metavar="FILE",
        help="YAML file of splits, 'standard' or 'fractions'; default: the checkpoint's",
    )
    parser.add_argument("--split", default="test", help="split to evaluate; default: test")
    parser.add_argument(
        "--held-out",
        nargs="*",
        metavar="SPLIT",
        help=f"splits evaluated apart; default: {', '.join(HELD_OUT)}, as far as they are there",
    )


def data_settings(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint was trained with: runs, splits, the roles' names, parts by fraction."""
    settings = manifest.get("training", {}).get("settings", {}).get("data", {})
    return {**settings, "parts": manifest.get("splits", {}).get("parts", {})}


def overlaps(manifest: Mapping[str, Any], parts: Parts, name: str) -> list[str]:
    """Sentences about evaluated episodes whose seeds lie among those a checkpoint was made from.

    Args:
        manifest: of the checkpoint.
        parts: of the evaluation.
        name: of the checkpoint, for the sentence.
    """
    made_from = manifest.get("data", {})
    if not made_from:
        return [
            f"{name} does not say from which episodes it was made: whether those of this "
            "evaluation are among them is not known."
        ]
    if groups := manifest.get("splits", {}).get("parts"):
        return _repeated(groups, parts, name)
    said = []
    for part, data in (("test", parts.test), *parts.held_out.items()):
        for role in ROLES:
            used = made_from.get(role, {})
            first, last = used.get("seeds", (0, -1))
            seeds, tasks = data.episodes.seed, data.episodes.task
            known = np.isin(tasks.astype(str), used.get("tasks", tasks.astype(str)))
            shared = int(((seeds >= first) & (seeds <= last) & known).sum())
            if shared:
                said.append(
                    f"{shared} of {len(seeds)} episodes of the {part} part have seeds from {first} "
                    f"to {last}, those of the {role} part that {name} was made from: the figures "
                    "are not those of unseen episodes."
                )
    return said


def _repeated(groups: Mapping[str, Sequence[str]], parts: Parts, name: str) -> list[str]:
    """`overlaps` with a checkpoint whose episodes are known one by one."""
    said = []
    for part, data in (("test", parts.test), *parts.held_out.items()):
        table = data.episodes
        for role in (role for role in groups if role != "test"):
            shared = int(np.isin(table.group.astype(str), groups[role]).sum())
            if shared:
                said.append(
                    f"{shared} of {len(table)} episodes of the {part} part are, or repeat, those "
                    f"of the {role} part that {name} was made from: the figures are not those of "
                    "unseen episodes."
                )
        if unknown := int((table.group == "").sum()):
            said.append(
                f"{unknown} of {len(table)} episodes of the {part} part are of no run: whether "
                f"{name} was made from them is not known."
            )
    return said


def read_parts(
    options: argparse.Namespace,
    trained: Mapping[str, Any],
    chunks: bool = False,
    scene: bool = False,
    horizons: Sequence[float] | None = None,
) -> Parts:
    """Read all parts.

    Args:
        options: of `add_source_options`.
        trained: of `data_settings`.
        chunks: read the action chunks, too.
        scene: read the ground truth of the scene, too.
        horizons: of the labels [s]; None: those of `trained`, else the default.

    Raises:
        SourceError: neither options nor checkpoint say what to read.
        SplitError: the file of splits lacks a split.
        DataError: a split has no episodes.
        NotARunError: a path holds no run.
    """
    source = _Source(options, trained, chunks, scene, horizons)
    held_out = {}
    for name in HELD_OUT if options.held_out is None else options.held_out:
        if options.held_out is None and name not in source.splits:
            continue
        try:
            held_out[name] = source.read(name)
        except DataError:
            if options.held_out is not None:
                raise
    test = source.read(options.split)
    return Parts(
        test=test, held_out=held_out, **source.read_roles(), by_fraction=source.by_fraction
    )


def parts_around(
    test: StepData, options: argparse.Namespace, trained: Mapping[str, Any], chunks: bool = False
) -> Parts:
    """Read the parts that thresholds and baselines are made from, around test data from elsewhere.

    Raises:
        As `read_parts`.
    """
    source = _Source(options, trained, chunks, horizons=test.horizons)
    return Parts(test=test, **source.read_roles())


class _Source:
    """Splits and runs, of options or of a checkpoint."""

    def __init__(
        self,
        options: argparse.Namespace,
        trained: Mapping[str, Any],
        chunks: bool,
        scene: bool = False,
        horizons: Sequence[float] | None = None,
    ):
        self._horizons = tuple(horizons or trained.get("horizons") or HORIZONS_S)
        self._runs = options.runs or trained.get("runs")
        self._file = options.splits or trained.get("splits")
        self._trained, self._chunks, self._scene = trained, chunks, scene
        if not self._file:
            raise SourceError(
                "the checkpoint does not say which splits it used: give --splits FILE"
            )
        self.by_fraction: dict[str, Part] = {}
        if self._file == BY_FRACTION:
            self.by_fraction = self._parts(options)
        self.splits = self.by_fraction or load_splits(self._file)

    def _parts(self, options: argparse.Namespace) -> dict[str, Part]:
        """The checkpoint's parts; without them, those that training would make of the runs."""
        if not self._runs:
            raise SourceError("the checkpoint does not say which runs it used: give --runs PATH")
        known = self._trained.get("parts") if options.splits is None else None
        if not known:
            roles = [self._trained.get(role, role) for role in ROLES]
            return parts_by_fraction(self._runs, [*filter(None, roles), "test"])
        parts = {name: Part(name, frozenset(groups)) for name, groups in known.items()}
        if options.runs:
            # Episodes that no part knows are new to the predictor.
            others = frozenset().union(*(p.groups for n, p in parts.items() if n != "test"))
            held_out = parts["test"].groups if "test" in parts else frozenset()
            parts["test"] = Part("test", held_out, others)
        # What thresholds and baselines are made from is where the predictor's data are, unless
        # the given runs are those, elsewhere.
        moved = any(map(parts["train"].holds, open_dataset(self._runs, same_schema=False)))
        roles = () if moved else tuple(self._trained.get("runs", ()))
        return {
            name: part if name == "test" else replace(part, runs=roles)
            for name, part in parts.items()
        }

    def read(self, name: str, limit: int | None = None) -> StepData:
        if name not in self.splits and name == "test" and self.by_fraction:
            raise SourceError(
                "every episode was learned from, so there is none to test on: the cross-validated "
                "figures are in the checkpoint's manifest.json; name runs with new episodes with "
                "--runs"
            )
        if name not in self.splits:
            raise SplitError(f"{self._file} has no split '{name}': use {', '.join(self.splits)}")
        paths = self.splits[name].runs or self._runs
        if not paths:
            raise SourceError("the checkpoint does not say which runs it used: give --runs PATH")
        return read_steps(
            paths,
            self.splits[name],
            chunks=self._chunks,
            scene=self._scene,
            limit=limit,
            horizons=self._horizons,
        )

    def read_roles(self) -> dict[str, StepData]:
        names = {role: self._trained.get(role, role) for role in ROLES}
        if self.by_fraction:
            # A predictor that is cross-validated has no part but that which it learned from.
            names = {role: name for role, name in names.items() if name in self.by_fraction}
        limits = {"train": self._trained.get("limit") or None}
        return {role: self.read(name, limits.get(role)) for role, name in names.items() if name}
