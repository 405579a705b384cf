"""Small geometry that the experts share."""

from __future__ import annotations

import numpy as np

_GAIN = 0.35  # of the remaining way per step
_RISE = 0.4  # of the pace down


def limited(step: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The step (3,) shortened, keeping its direction, until no component exceeds its limit."""
    return step / max(1.0, float(np.max(np.abs(step) / limits)))


def sink(aside: float, fits: float, way: float, clear: float, pace: float) -> float:
    """Motion along z on the way down around something, or onto it: (scalar) [m].

    Down at a steady pace as soon as it fits, and up slowly where it does not. A height that grew
    with the offset would teach a student, which sees the offset only roughly, to hover at the mean
    of what the offset may be; where down is so much faster than up it comes down as long as it more
    likely fits than not.

    Args:
        aside: offset in the plane [m].
        fits: largest offset at which the way down is free [m].
        way: from here to the height to reach, negative: down [m].
        clear: from here to the height to wait at [m].
        pace: longest step down [m].
    """
    if aside < fits:
        return max(_GAIN * way, -pace)
    return float(np.clip(_GAIN * clear, -pace, _RISE * pace))


def yaw(quaternion: np.ndarray) -> float:
    """Yaw of a quaternion (4,) xyzw [rad]."""
    x, y, z, w = quaternion
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))


def quarter_turn(angle: float) -> float:
    """The equivalent turn of a cube, within a quarter turn: [-pi/4, pi/4) [rad]."""
    return float((angle + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def half_turn(angle: float) -> float:
    """The equivalent turn of two opposite fingers, within a half turn: [-pi/2, pi/2) [rad]."""
    return float((angle + np.pi / 2) % np.pi - np.pi / 2)
