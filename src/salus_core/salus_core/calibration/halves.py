"""The calibration split in two: what the band is made from must be new to everything else."""

import numpy as np

from salus_core.data.step_data import StepData


def calibration_halves(data: StepData) -> tuple[StepData, StepData]:
    """Episodes for the probabilities' calibration, and episodes for the band.

    Every second episode, in order of the seeds, goes to each, successful ones and others by
    themselves, so that both get their share.
    """
    order = np.lexsort((data.episodes.seed, data.episodes.succeeded))
    return data.select(order[::2]), data.select(order[1::2])
