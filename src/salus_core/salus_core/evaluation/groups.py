# SPDX-License-Identifier: Apache-2.0
"""Groups of episodes that are reported apart."""

import numpy as np

from salus_core.data import StepData


def groups_of(data: StepData) -> dict[str, np.ndarray]:
    """(E,) bool by the group's name.

    `natural`: no fault was injected before the onset (or within a successful episode); `injected`:
    the others. A group's negatives are its own: a detector must not gain from telling injected
    noise apart from none.
    """
    injected = data.episodes.injected
    return {
        "all": np.ones(len(injected), bool),
        "natural": ~injected,
        "injected": injected,
    }
