# SPDX-License-Identifier: Apache-2.0
"""Colours of failure types and horizons in pictures."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

_BUILT_IN = ("#c1121f", "#6a4c93", "#2a9d8f", "#8d99ae")


def type_colours(count: int) -> tuple[str, ...]:
    """One per failure type: the built-in ones' own, then those of matplotlib's tab20."""
    others = (to_hex(colormaps["tab20"](index)) for index in range(count))
    return (*_BUILT_IN, *others)[:count]


def horizon_colours(horizons: Sequence[float]) -> tuple[str, ...]:
    """One per horizon, darker for longer ones."""
    return tuple(to_hex(colormaps["Blues"](x)) for x in np.linspace(0.4, 1.0, len(horizons)))
