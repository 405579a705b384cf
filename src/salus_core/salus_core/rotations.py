# SPDX-License-Identifier: Apache-2.0
"""One sign and one norm for a quaternion, wherever it comes from."""

from __future__ import annotations

import numpy as np

NORM_TOLERANCE = 1e-6
"""A norm that is nearer to 1 is left alone, so that recorded numbers keep their bits."""


def one_sign(quaternion: np.ndarray) -> np.ndarray:
    """Choose between q and -q, which are the same rotation, and make the norm 1.

    The component of the largest magnitude becomes positive (of equal ones the first). The usual
    rule, w at least 0, flips back and forth for a tool that points down, where w is about 0.

    Args:
        quaternion: (..., 4) x, y, z, w; not all zero.

    Returns:
        (..., 4) of the same type; NaN where a component is NaN.
    """
    given = np.asarray(quaternion)
    largest = np.argmax(np.abs(given), axis=-1, keepdims=True)
    positive = np.where(np.take_along_axis(given, largest, axis=-1) < 0, -given, given)
    norm = np.linalg.norm(positive, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.abs(norm - 1) > NORM_TOLERANCE, positive / norm, positive)


def yaw_of(quaternion: np.ndarray) -> float:
    """Yaw of a quaternion (4,) xyzw [rad]."""
    x, y, z, w = quaternion
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))
