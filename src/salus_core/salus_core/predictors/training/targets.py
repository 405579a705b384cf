# SPDX-License-Identifier: Apache-2.0
"""What the losses compare a network's outputs with."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from salus_core.data.step_data import StepData
from salus_core.failures import Outcome

NEVER = 1_000_000
"""Steps to a failure that does not come."""


@dataclass(frozen=True)
class Targets:
    """Targets of N steps.

    Attributes:
        labels: (N, H, K) bool, as in StepData.
        label_valid: (N, H) bool, as in StepData.
        ahead: (N,) int64, steps to the onset; NEVER: there is none, or it is not known of.
        kind: (N,) int64, index of the failure's type; K: none.
        known: (N,) int64, steps ahead of which it is known that no failure begins before `ahead`;
            0: the step teaches nothing.
        fails: (N, K) bool, the episode fails by this type.
        fails_valid: (N,) bool, it is known whether and how the episode fails, and it has not yet.
        failed: (N,) bool, the episode failed.
        ended: (N,) bool, the episode succeeded or failed, without intervention.
        scene: (N, S) float32 ground truth in its own unit, NaN where not known; None: none.
    """

    labels: np.ndarray
    label_valid: np.ndarray
    ahead: np.ndarray
    kind: np.ndarray
    known: np.ndarray
    fails: np.ndarray
    fails_valid: np.ndarray
    failed: np.ndarray
    ended: np.ndarray
    scene: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Its arrays by name, without those that are None."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array for name, array in found.items() if array is not None}


def make_targets(data: StepData, scene: np.ndarray | None = None) -> Targets:
    """Derive the targets of all steps.

    Args:
        data: N steps.
        scene: (N, S) ground truth, scaled.
    """
    table, episode = data.episodes, data.episode
    failed = table.failed[episode]
    onset = np.where(failed, table.onset_step[episode], NEVER + data.step)
    ahead = onset - data.step
    teaches = ~table.intervened[episode] & (ahead > 0)
    aborted = table.outcome[episode] == Outcome.ABORTED
    last = table.length[episode] - 1 - data.step
    known = np.where(aborted, np.minimum(last, NEVER), NEVER)
    known = np.where(failed, ahead - 1, known)
    types = data.taxonomy.size
    kind = np.where(failed, table.failure[episode].astype(np.int64) - 1, types)
    return Targets(
        labels=data.labels,
        label_valid=data.label_valid,
        ahead=np.where(teaches & failed, ahead, NEVER),
        kind=kind,
        known=np.where(teaches, known, 0),
        fails=kind[:, None] == np.arange(types),
        fails_valid=teaches & ~aborted,
        failed=failed,
        ended=~aborted & ~table.intervened[episode],
        scene=scene,
    )
