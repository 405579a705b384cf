# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from salus_core.rotations import one_sign


def test_both_signs_of_a_rotation_become_the_same_numbers():
    quaternions = Rotation.random(200, rng=np.random.default_rng(0)).as_quat()
    found = one_sign(quaternions)
    np.testing.assert_array_equal(found, one_sign(-quaternions))
    turned = Rotation.from_quat(found) * Rotation.from_quat(quaternions).inv()
    assert turned.magnitude().max() < 1e-12


def test_a_tool_that_points_down_does_not_flip():
    w = np.array([1e-3, -1e-3])
    down = np.stack([np.sqrt(1 - w**2), 0 * w, 0 * w, w], axis=-1)
    assert np.abs(np.diff(one_sign(down), axis=0)).max() < 0.01


def test_the_norm_is_repaired_and_a_good_one_keeps_its_bits():
    assert np.linalg.norm(one_sign(np.array([0.0, 0.0, 2.0, 0.0]))) == pytest.approx(1)
    good = np.array([0.6, 0.8 + 1e-9, 0.0, 0.0])
    np.testing.assert_array_equal(one_sign(good), good)


def test_what_is_not_known_stays_unknown():
    assert np.isnan(one_sign(np.full((3, 4), np.nan))).all()
