# SPDX-License-Identifier: Apache-2.0
"""What could be foretold if the scene were known: a bound for predictors, not one of them."""

import dataclasses

import numpy as np

from salus_core.data.scene import HINDSIGHT, SCENE_NAMES
from salus_core.data.step_data import EMBEDDING_DTYPE, StepData


def with_true_scene(data: StepData) -> StepData:
    """Put the ground truth of the scene in the latent's place, and which of it is known.

    Only what the steps so far tell: without the columns of HINDSIGHT.

    Args:
        data: with the scene read.

    Raises:
        ValueError: the scene was not read or not recorded.
    """
    if data.scene is None or not np.isfinite(data.scene).any():
        raise ValueError("the true scene was not recorded or not read")
    # A step of which one column is not known must not be lost as a whole.
    scene = data.scene[:, [name not in HINDSIGHT for name in SCENE_NAMES]]
    known = np.isfinite(scene)
    columns = np.concatenate([np.where(known, scene, 0.0), known], axis=1)
    return dataclasses.replace(data, embedding=columns.astype(EMBEDDING_DTYPE))
