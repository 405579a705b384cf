# SPDX-License-Identifier: Apache-2.0
"""Recorded episodes as arrays in memory: reading, splits, windows."""

from salus_core.data.fractions import FRACTIONS, Part, parts_by_fraction
from salus_core.data.reading import DataError, read_steps
from salus_core.data.scene import SCENE_NAMES
from salus_core.data.splits import Split, SplitError, load_splits, require_disjoint
from salus_core.data.step_data import EMBEDDING_DTYPE, EpisodeTable, StepData
from salus_core.data.windows import Windows, make_windows

__all__ = [
    "EMBEDDING_DTYPE",
    "FRACTIONS",
    "SCENE_NAMES",
    "DataError",
    "EpisodeTable",
    "Part",
    "Split",
    "SplitError",
    "StepData",
    "Windows",
    "load_splits",
    "make_windows",
    "parts_by_fraction",
    "read_steps",
    "require_disjoint",
]
