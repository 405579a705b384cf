# SPDX-License-Identifier: Apache-2.0
"""The calibration split in two: what the band is made from must be new to everything else."""

from __future__ import annotations

import numpy as np

from salus_core.data.step_data import StepData


def calibration_split(data: StepData) -> tuple[StepData, StepData]:
    """Episodes for the probabilities' calibration, and episodes for the band.

    Every second episode, in order of the seeds, goes to each, successful ones and others by
    themselves: so both get their share, and an episode more of one sort moves none of the other.
    """
    order = np.argsort(data.episodes.seed, kind="stable")
    good = data.episodes.succeeded[order]
    sorts = order[~good], order[good]
    first, second = (np.concatenate([sort[n::2] for sort in sorts]) for n in (0, 1))
    return data.select(first), data.select(second)


def band_part(detector: object, data: StepData) -> StepData:
    """Episodes of the calibration split that the band of a detector's alarm is made from.

    All of them, unless its score goes through the calibration of its probabilities (attribute
    `calibrates_score`): that was fitted on the first half, so the second one remains.
    """
    fitted = getattr(detector, "calibrates_score", False)
    return calibration_split(data)[1] if fitted else data
