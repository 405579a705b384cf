import dataclasses

import numpy as np
import pytest

from salus_core.data.testing import make_steps
from salus_core.evaluation.privileged import with_true_scene


def test_a_column_that_is_not_known_does_not_hide_the_others():
    data = make_steps(2)
    scene = np.ones((len(data), 3), np.float32)
    scene[::2, 1] = np.nan
    told = with_true_scene(dataclasses.replace(data, scene=scene)).embedding
    assert np.isfinite(told).all()
    np.testing.assert_array_equal(told[0], [1, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(told[1], [1, 1, 1, 1, 1, 1])


def test_without_a_scene_nothing_is_told():
    with pytest.raises(ValueError, match="not recorded or not read"):
        with_true_scene(make_steps(2))
