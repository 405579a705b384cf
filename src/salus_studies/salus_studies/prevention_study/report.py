# SPDX-License-Identifier: Apache-2.0
"""The report of a prevention study: JSON for programs, Markdown for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from salus_core.failures import FAILURE_NAMES
from salus_studies.prevention_study.plan import REFERENCE, Plan
from salus_studies.prevention_study.rig import REFUSED
from salus_studies.prevention_study.statistics import (
    SUCCESS,
    Pair,
    by_group,
    cause,
    figures,
    holm,
)

CAUSES = (
    *("oily", "tall wall", "tall wall and oily"),
    *("bent camera", "injected fault", "none of these"),
)

Rows = Mapping[int, Mapping[str, Any]]


def assess(plan: Plan, rows: Mapping[str, Rows], period: float) -> dict[str, Any]:
    """Everything that the report says.

    Args:
        plan: of the study.
        rows: of each arm, by seed.
        period: control period [s].
    """
    complete = {
        arm.name: [rows[arm.name][seed] for seed in plan.all_seeds if seed in rows[arm.name]]
        for arm in plan.arms
    }
    usable = {
        name: [row for row in found if row["base"] != REFUSED] for name, found in complete.items()
    }
    arms = {name: figures(found, period) for name, found in usable.items() if found}
    for name, adjusted in zip(arms, holm([arms[name]["p"] for name in arms]), strict=True):
        arms[name]["p_holm"] = adjusted
    return {
        "seeds": [plan.first_seed, plan.first_seed + plan.seeds - 1],
        "refused": sum(row["base"] == REFUSED for row in next(iter(complete.values()), [])),
        "arms": arms,
        "pairs": _pairs(usable),
        "types": _groups(usable, lambda row: row["base"], FAILURE_NAMES),
        "causes": _groups(usable, cause, CAUSES),
        "becomes": {name: _becomes(found) for name, found in usable.items() if name == REFERENCE},
        "lost": {
            name: [
                [row["seed"], row["outcome"], row["description"]]
                for row in found
                if row["base"] == SUCCESS != row["outcome"]
            ]
            for name, found in usable.items()
        },
    }


def _pairs(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The reference against each other arm."""
    if not rows.get(REFERENCE):
        return {}
    failed = {name: _failed(found) for name, found in rows.items()}
    found = {
        name: Pair.of(failed[REFERENCE], other)
        for name, other in failed.items()
        if name != REFERENCE and len(other) == len(failed[REFERENCE])
    }
    adjusted = holm([pair.p for pair in found.values()])
    return {
        name: {"only_reference": pair.gained, "only_other": pair.lost, "p": pair.p, "p_holm": p}
        for (name, pair), p in zip(found.items(), adjusted, strict=True)
    }


def _failed(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    return np.array([row["outcome"] != SUCCESS for row in rows])


def _groups(
    rows: Mapping[str, Sequence[Mapping[str, Any]]], of: Any, names: Sequence[str]
) -> dict[str, dict[str, list[int]]]:
    return {
        arm: by_group(found, [(name, lambda row, name=name: of(row) == name) for name in names])
        for arm, found in rows.items()
    }


def _becomes(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """What failures turn into: by type without interventions, the outcomes with them."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        counts = found.setdefault(row["base"], {})
        counts[row["outcome"]] = counts.get(row["outcome"], 0) + 1
    return found


def markdown(report: Mapping[str, Any], plan: Plan) -> str:
    """The report for people."""
    first, last = report["seeds"]
    lines = [
        "# Prevention study",
        "",
        f"Seeds {first} to {last}, '{plan.rig.difficulty}' and '{plan.rig.profile}'; "
        f"{report['refused']} that the world cannot start.",
        plan.tests,
        "",
        "| arm | failures | cut by | gained / lost | p (Holm) | lost of successes | fired, in "
        "successes | needed | time on successes | interventions, seconds per avoided |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, found in report["arms"].items():
        before, after = found["failures"]
        cost = "-"
        if found["seconds_per_avoided"] is not None:
            cost = f"{found['interventions_per_avoided']:.1f}, {found['seconds_per_avoided']:.1f} s"
        lines.append(
            f"| {name} | {before} -> {after} | {found['reduction']} | "
            f"{found['gained']} / {found['lost']} | {found['p_holm']:.2g} | "
            f"{found['lost_share']} | {found['fired']}, {found['fired_in_successes']} | "
            f"{found['needed']} | {100 * found['time_on_successes']:+.1f} % | {cost} |"
        )
    lines += ["", f"'{REFERENCE}' against another arm, episodes that succeed in one only:", ""]
    lines += ["| arm | only 'rules' | only it | p (Holm) |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {pair['only_reference']} | {pair['only_other']} | {pair['p_holm']:.2g} |"
        for name, pair in report["pairs"].items()
    ]
    for title, part in (("type", "types"), ("cause", "causes")):
        names = list(next(iter(report[part].values()), {}))
        lines += ["", f"Saved of failed, by {title}:", "", f"| arm | {' | '.join(names)} |"]
        lines.append("|---" * (len(names) + 1) + "|")
        for arm, groups in report[part].items():
            cells = " | ".join(f"{saved}/{of}" for saved, of in groups.values())
            lines.append(f"| {arm} | {cells} |")
    return "\n".join(lines) + "\n"
