# SPDX-License-Identifier: Apache-2.0
"""The table of interventions: which forecast leads to which manoeuvre, within which limits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from salus_core.predictors.settings import SettingsError, build, load_yaml
from salus_core.prevention.triggers import Rule

FOLDER = Path(__file__).parent / "tables"
"""Tables that ship with SALUS."""


class TableError(ValueError):
    """A table cannot be used; the message names the entry and what to change."""


@dataclass(frozen=True)
class Bounds:
    """How much is intervened in one episode.

    Attributes:
        tries: interventions; each is a run of steps whose action is changed.
        budget: time with changed actions [s].
        cool_down: time between two interventions [s].
    """

    tries: int = 20
    budget: float = 8.0
    cool_down: float = 0.0

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ValueError: one is negative, or not finite.
        """
        if self.tries < 0 or not 0.0 <= self.budget <= 3600.0 or not 0.0 <= self.cool_down <= 60.0:
            raise ValueError(
                "tries must be at least 0, budget lie within 0 and 3600 s, cool_down within 0 and "
                "60 s"
            )


@dataclass(frozen=True)
class Entry:
    """What follows from the forecast of one type of failure.

    Attributes:
        when: the forecast counts.
        manoeuvres: names of what is done then.
    """

    when: Rule = field(default_factory=Rule)
    manoeuvres: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Interventions by failure type.

    Attributes:
        rules: by failure type.
        after: by manoeuvre: what else is done once it has reached its end.
        settings: of manoeuvres, by name; what is not there has its defaults.
        bounds: of an episode.
    """

    rules: Mapping[str, Entry] = field(default_factory=dict)
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def manoeuvres(self) -> tuple[str, ...]:
        """Names of all that may be done, each once."""
        named = [name for entry in self.rules.values() for name in entry.manoeuvres]
        named += [name for names in self.after.values() for name in names]
        return tuple(dict.fromkeys(named))

    @property
    def triggers(self) -> dict[str, Rule]:
        """When each type of failure counts as forecast."""
        return {name: entry.when for name, entry in self.rules.items()}

    @property
    def hash(self) -> str:
        """SHA-256 over what it says."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `load` reads them."""
        return {
            "rules": {name: asdict(entry) for name, entry in self.rules.items()},
            "after": {name: list(names) for name, names in self.after.items()},
            "settings": {name: dict(given) for name, given in self.settings.items()},
            "bounds": asdict(self.bounds),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str = "table") -> Table:
        """The inverse of `to_dict`.

        Raises:
            TableError: an entry is unknown or of the wrong kind; names it.
        """
        unknown = sorted(set(map(str, content)) - {"rules", "after", "settings", "bounds"})
        if unknown:
            raise TableError(f"{where}: unknown entry '{unknown[0]}'")
        names = ("rules", "after", "settings", "bounds")
        parts = {name: {} if content.get(name) is None else content[name] for name in names}
        for name, part in parts.items():
            if not isinstance(part, Mapping):
                raise TableError(f"{where}: '{name}' must be a mapping")
        try:
            rules = {
                str(name): build(Entry, entry, f"{where}: rules.{name}")
                for name, entry in parts["rules"].items()
            }
            after = {
                str(name): build(Entry, {"manoeuvres": names}, f"{where}: after.{name}").manoeuvres
                for name, names in parts["after"].items()
            }
            bounds = build(Bounds, parts["bounds"], f"{where}: bounds")
        except SettingsError as error:
            raise TableError(str(error)) from error
        return cls(rules, after, parts["settings"], bounds)

    @classmethod
    def load(cls, path: Path | str) -> Table:
        """Read a YAML file; a bare name is one of the tables that ship.

        Raises:
            TableError: it is missing, malformed, or names what is not known.
        """
        path = Path(path)
        shipped = FOLDER / f"{path}.yaml"
        if len(path.parts) == 1 and not path.suffix and shipped.is_file():
            path = shipped
        try:
            content = load_yaml(path)
        except SettingsError as error:
            raise TableError(str(error)) from error
        return cls.from_dict(content, str(path))
