# SPDX-License-Identifier: Apache-2.0
"""Outcomes, failure types and forecast horizons; the numbers are those of EpisodeStatus.msg."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from pathlib import Path

from salus_core.paths import PathError, read_yaml


class FailureType(IntEnum):
    """The built-in types of failure; equal to the FAILURE_* constants of EpisodeStatus.msg."""

    NONE = 0
    COLLISION = 1
    """The arm touches anything but the object with more than the threshold's force."""
    DROP = 2
    """A grasped object leaves the gripper before the goal."""
    MISSED_GRASP = 3
    """The gripper closes without the object, or lifts without it."""
    TIMEOUT = 4
    """No success within the episode's steps."""


class Outcome(IntEnum):
    """State of an episode; equal to the STATE_* constants of EpisodeStatus.msg."""

    RUNNING = 0
    SUCCEEDED = 1
    FAILED = 2
    ABORTED = 3
    """Ended from outside: whether it would have failed is not known."""


FAILURE_TYPES: tuple[FailureType, ...] = tuple(FailureType)[1:]
"""The types in the order of labels and probabilities: index k is FailureType k + 1."""

FAILURE_NAMES: tuple[str, ...] = tuple(failure.name.lower() for failure in FAILURE_TYPES)
"""Their names, in the same order."""

HORIZONS_S: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5)
"""Forecast horizons [s], ascending, unless others are asked for."""

MAX_HORIZONS = 16
"""Bound of FailureForecast: up to 16 horizons of up to 16 types."""


MAX_FAILURE_TYPES = 16
"""Of a taxonomy: FailureForecast holds 16 types at up to 16 horizons."""

RENAMED = {"miss": "missed_grasp"}
"""Names of types in files of older versions, and the names that they have now."""

OTHER_FAILURE = 255
"""EpisodeStatus.FAILURE_OTHER: a type that is not built in, told by its name."""


class TaxonomyError(ValueError):
    """A failure type is not known, or a file of types cannot be used; the message names it."""


@dataclass(frozen=True)
class Taxonomy:
    """Failure types by name: the built-in ones first, then those that a user adds.

    The code of a type is its place, counted from 1; 0 means no failure. So built-in types have the
    codes of FailureType.

    Attributes:
        names: K names, in the order of labels and probabilities.
        descriptions: one per name; empty strings where none is given.
    """

    names: tuple[str, ...] = FAILURE_NAMES
    descriptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            TaxonomyError: the built-in types do not come first, a name is there twice, is no word
                of small letters, or there are too many.
        """
        built_in = len(FAILURE_NAMES)
        if self.names[:built_in] != FAILURE_NAMES:
            raise TaxonomyError(
                f"failure types must begin with {', '.join(FAILURE_NAMES)}: {', '.join(self.names)}"
            )
        if len(self.names) > MAX_FAILURE_TYPES:
            raise TaxonomyError(
                f"{len(self.names)} failure types are more than {MAX_FAILURE_TYPES}"
            )
        for name in self.names:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) or name in ("none", *RENAMED):
                raise TaxonomyError(
                    f"'{name}' cannot be the name of a failure type: use small letters, digits "
                    "and _"
                )
            if self.names.count(name) > 1:
                raise TaxonomyError(f"failure type '{name}' is there twice")
        if not self.descriptions:
            object.__setattr__(self, "descriptions", ("",) * len(self.names))

    @classmethod
    def of(cls, names: Iterable[str]) -> Taxonomy:
        """From the names in a file or message, with older names replaced."""
        return cls(tuple(RENAMED.get(name, name) for name in names))

    @classmethod
    def load(cls, path: Path | str) -> Taxonomy:
        """Read a YAML file that adds types: `failure_types: {spill: liquid leaves the cup, ...}`.

        Raises:
            TaxonomyError: it cannot be read or names no types; says which file.
        """
        try:
            content = read_yaml(Path(path))
        except PathError as error:
            raise TaxonomyError(str(error)) from error
        added = content.get("failure_types") if isinstance(content, dict) else None
        if not isinstance(added, dict) or not all(isinstance(name, str) for name in added):
            raise TaxonomyError(f"{path}: expected 'failure_types:' with a line NAME: MEANING each")
        try:
            return cls(
                (*FAILURE_NAMES, *added),
                ("",) * len(FAILURE_NAMES) + tuple(str(text or "") for text in added.values()),
            )
        except TaxonomyError as error:
            raise TaxonomyError(f"{path}: {error}") from error

    @property
    def size(self) -> int:
        """K, the number of types."""
        return len(self.names)

    @property
    def codes(self) -> tuple[int, ...]:
        """Of all types: 1 to K."""
        return tuple(range(1, len(self.names) + 1))

    @property
    def main(self) -> tuple[int, ...]:
        """Codes of every type but timeout, which is nearly a clock and not worth an alarm."""
        return tuple(code for code in self.codes if code != FailureType.TIMEOUT)

    def code(self, name: str) -> int:
        """The code of a type, 1 to K; 0 of the empty name.

        Raises:
            TaxonomyError: there is no such type.
        """
        name = RENAMED.get(name, name)
        if not name:
            return 0
        if name not in self.names:
            raise TaxonomyError(f"failure type '{name}' is not known: use {', '.join(self.names)}")
        return self.names.index(name) + 1

    def name(self, code: int) -> str:
        """The name of a code; empty for 0.

        Raises:
            TaxonomyError: there is no such code.
        """
        if not 0 <= code <= len(self.names):
            raise TaxonomyError(
                f"failure type {code} does not exist: the types are 1 to {len(self.names)} "
                f"({', '.join(self.names)})"
            )
        return self.names[code - 1] if code else ""


BUILT_IN = Taxonomy()
"""collision, drop, missed_grasp and timeout."""


def checked_horizons(horizons: Iterable[float]) -> tuple[float, ...]:
    """Forecast horizons [s] as a tuple.

    Raises:
        ValueError: there are none or more than MAX_HORIZONS, or they are not positive, finite and
            ascending.
    """
    found = tuple(float(seconds) for seconds in horizons)
    if not 1 <= len(found) <= MAX_HORIZONS:
        raise ValueError(f"horizons: {len(found)} are given, there must be 1 to {MAX_HORIZONS}")
    if not all(0.0 < seconds < float("inf") for seconds in found):
        raise ValueError(f"horizons must be positive and finite: {list(found)}")
    if any(later <= sooner for sooner, later in pairwise(found)):
        raise ValueError(f"horizons must be ascending: {list(found)}")
    return found
