# SPDX-License-Identifier: Apache-2.0
"""SceneEstimate messages as arrays."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from salus_core.messages.checks import InvalidInputError
from salus_core.messages.inputs import Input
from salus_core.runtime.types import SceneEstimate

SCENE_ESTIMATE = "scene_estimate"
"""Name of the input."""

FARTHEST = 100.0
"""No place within an arm's reach is so far away [m]."""


class SceneInput(Input):
    """SceneEstimate messages; those whose numbers do not belong to names are unusable."""

    def __init__(self, capacity: int = 256, required: bool = False):
        super().__init__(SCENE_ESTIMATE, capacity=capacity, required=required)

    def source(self, message: Any) -> str:
        """Publishers are told apart by their names."""
        return str(message.source)

    def offers(self, message: Any) -> Collection[str]:
        """One part.

        Raises:
            InvalidInputError: lengths differ, a name is there twice, or a number is absurd.
        """
        read_scene(message)
        return self.needed


def read_scene(message: Any) -> SceneEstimate:
    """The numbers of a message.

    Raises:
        InvalidInputError: lengths differ, a name is there twice, or a number is absurd.
    """
    names, values = tuple(message.names), np.asarray(message.values, np.float32)
    std = np.asarray(message.std, np.float32)
    if len(values) != len(names) or len(std) not in (0, len(names)):
        raise InvalidInputError(
            f"scene_estimate: {len(names)} names, but {len(values)} values and {len(std)} std"
        )
    if len(set(names)) != len(names):
        raise InvalidInputError("scene_estimate: a name is there twice")
    for part in (values, std):
        if np.isinf(part).any() or (np.abs(part[np.isfinite(part)]) > FARTHEST).any():
            raise InvalidInputError(
                f"scene_estimate: a number is infinite, or beyond {FARTHEST:g} m"
            )
    return SceneEstimate(names, values, str(message.source)[:64], std if len(std) else None)
