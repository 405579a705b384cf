# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from salus_core.data.scene import HINDSIGHT, SCENE_NAMES
from salus_core.data.testing import make_steps
from salus_core.evaluation.privileged import with_true_scene


def test_a_column_that_is_not_known_does_not_hide_the_others():
    data = make_steps(2)
    scene = np.ones((len(data), len(SCENE_NAMES)), np.float32)
    scene[::2, 1] = np.nan
    told = with_true_scene(dataclasses.replace(data, scene=scene)).embedding
    values, known = np.split(told, 2, axis=1)
    assert (values[::2, 1] == 0).all()
    assert (known[::2, 1] == 0).all()
    assert (values[1::2] == 1).all()
    assert (known[1::2] == 1).all()


def test_what_only_later_steps_tell_is_not_told():
    data = make_steps(2)
    scene = np.ones((len(data), len(SCENE_NAMES)), np.float32)
    later = scene.copy()
    later[:, [SCENE_NAMES.index(name) for name in HINDSIGHT]] = np.nan
    told, expected = (
        with_true_scene(dataclasses.replace(data, scene=found)).embedding
        for found in (scene, later)
    )
    np.testing.assert_array_equal(told, expected)


def test_without_a_scene_nothing_is_told():
    with pytest.raises(ValueError, match="not recorded or not read"):
        with_true_scene(make_steps(2))
