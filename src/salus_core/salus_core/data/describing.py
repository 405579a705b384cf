# SPDX-License-Identifier: Apache-2.0
"""Counts of a data set, for manifests, reports and people."""

from __future__ import annotations

from typing import Any

from salus_core.data.step_data import StepData


def describe(data: StepData) -> dict[str, Any]:
    """Counts of a data set, for the manifest and for people."""
    table = data.episodes
    counts = {
        data.taxonomy.name(code): int((table.failure == code).sum()) for code in data.taxonomy.codes
    }
    summary = f"{len(table)} episodes, {len(data)} steps, {int(table.succeeded.sum())} succeeded, "
    return {
        "summary": summary + ", ".join(f"{number} {name}" for name, number in counts.items()),
        "episodes": len(table),
        "steps": len(data),
        "succeeded": int(table.succeeded.sum()),
        "failures": counts,
        "seeds": [int(table.seed.min()), int(table.seed.max())],
        "tasks": sorted(set(table.task.tolist())),
        "runs": sorted(set(table.run.tolist())),
        "policies": [list(policy) for policy in data.policies],
        "missing": data.missing,
    }
