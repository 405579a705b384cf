# SPDX-License-Identifier: Apache-2.0
"""What a prevention study will do, written to a file before anything runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from salus_core.prevention.table import Table, TableError
from salus_studies.prevention_study.arms import ALARM, ALWAYS, ORACLE, PLACEBO, RULES, Arm
from salus_studies.prevention_study.rig import RigSettings, StudyError

PLAN = "plan.json"
REFERENCE = "rules"
PLACEBOS = 5

TESTS = (
    "Each arm against no interventions: exact two-sided McNemar test on the same seeds, adjusted "
    f"by Holm over all arms. Arm '{REFERENCE}' against every other arm: likewise. Reductions: 95 % "
    "percentile bootstrap over episodes. Shares: Clopper-Pearson."
)

ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(RULES, "tabletop"),
        Arm("alarm", "tabletop", ALARM),
        Arm("always", "tabletop", ALWAYS),
        Arm("oracle", "tabletop", ORACLE),
        Arm("alarm_hold", "alarm_hold"),
        Arm("alarm_retry", "alarm_retry"),
        Arm("alarm_slow", "alarm_slow"),
        Arm("resample", "resample"),
        *(Arm(f"placebo_{n}", "tabletop", PLACEBO, RULES, n) for n in range(1, PLACEBOS + 1)),
    )
}
"""By name; a placebo has the triggers of other episodes."""


@dataclass(frozen=True)
class Plan:
    """A study.

    Attributes:
        first_seed: of the episodes.
        seeds: their number.
        arms: that are compared.
        rig: what the episodes run with.
        tables: what each table says, by the name that arms give.
        hashes: of the policy, the predictor and the scene head.
        tests: which tests will be made.
    """

    first_seed: int
    seeds: int
    arms: tuple[Arm, ...]
    rig: RigSettings
    tables: Mapping[str, Any] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    tests: str = TESTS

    @property
    def all_seeds(self) -> range:
        """Of the episodes."""
        return range(self.first_seed, self.first_seed + self.seeds)

    def table(self, arm: Arm) -> Table:
        """The table of an arm, as it was when the plan was written."""
        return Table.from_dict(self.tables[arm.table], arm.table)

    def keep(self, folder: Path) -> None:
        """Write it, or check that the folder holds the same.

        Raises:
            StudyError: the folder holds another study.
        """
        text = json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"
        path = folder / PLAN
        if path.exists():
            held = json.loads(path.read_text(encoding="utf-8"))
            for name, value in json.loads(text).items():
                if held.get(name) != value:
                    raise StudyError(
                        f"{path} was written for another study: '{name}' differs; give another "
                        "--output"
                    )
            return
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{PLAN}.part"
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)


def chosen(names: Sequence[str]) -> tuple[Arm, ...]:
    """Arms by name; each needs the ones whose triggers it deals.

    Raises:
        StudyError: there is none of a name, or a placebo's arm is missing.
    """
    for name in names:
        if name not in ARMS:
            raise StudyError(f"there is no arm '{name}': use {', '.join(ARMS)}")
    found = tuple(ARMS[name] for name in dict.fromkeys(names))
    for arm in found:
        if arm.of and arm.of not in names:
            raise StudyError(f"arm '{arm.name}' deals the triggers of '{arm.of}': add that arm")
    return found


def tables_of(arms: Sequence[Arm]) -> dict[str, Any]:
    """What the tables of arms say.

    Raises:
        StudyError: one cannot be read.
    """
    try:
        return {arm.table: Table.load(arm.table).to_dict() for arm in arms}
    except TableError as error:
        raise StudyError(str(error)) from error
