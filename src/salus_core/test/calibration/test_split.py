# SPDX-License-Identifier: Apache-2.0
"""Which calibration episodes are for what."""

from types import SimpleNamespace

import numpy as np

from salus_core.calibration import band_part, calibration_split
from salus_core.data.testing import make_steps


def halves(data):
    return [set(half.episodes.seed.tolist()) for half in calibration_split(data)]


def test_both_halves_get_their_share_of_successes_and_failures():
    data = make_steps(40, failing=0.4)
    first, second = calibration_split(data)
    for sort in ("succeeded", "failed"):
        shares = [int(getattr(half.episodes, sort).sum()) for half in (first, second)]
        assert abs(shares[0] - shares[1]) <= 1
    assert not set(first.episodes.seed) & set(second.episodes.seed)
    assert len(first.episodes) + len(second.episodes) == 40


def test_an_episode_more_moves_no_other_to_the_other_half():
    data = make_steps(40, failing=0.4)
    for kept in (data.episodes.failed, data.episodes.succeeded):
        without = np.setdiff1d(np.arange(40), np.flatnonzero(kept)[-1])
        for whole, part in zip(halves(data), halves(data.select(without)), strict=True):
            assert part <= whole


def test_the_band_is_made_from_all_episodes_that_its_score_was_not_fitted_on():
    data = make_steps(40, failing=0.4)
    fitted, free = (SimpleNamespace(calibrates_score=value) for value in (True, False))
    assert set(band_part(fitted, data).episodes.seed) == halves(data)[1]
    for detector in (free, object()):
        assert len(band_part(detector, data).episodes) == 40
