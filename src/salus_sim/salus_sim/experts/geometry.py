"""Small geometry that the experts share."""

from __future__ import annotations

import numpy as np


def limited(step: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The step (3,) shortened, keeping its direction, until no component exceeds its limit."""
    return step / max(1.0, float(np.max(np.abs(step) / limits)))


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
