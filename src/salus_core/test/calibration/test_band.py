# SPDX-License-Identifier: Apache-2.0
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from salus_core.calibration import (
    ConformalBand,
    false_alarm_rate,
    fewest_episodes,
    smallest_alpha,
)
from salus_core.calibration.band import SHAPES
from salus_core.metrics import first_alarm


def curves(random, number, drift=0.0):
    """Successful episodes: risk that swells in the middle, each at its own level and length."""
    step = np.arange(60)
    length = random.integers(30, 61, number)
    level = np.exp(0.5 * random.normal(size=(number, 1)))
    score = level * (0.1 + np.exp(-0.5 * ((step - 25) / 6.0) ** 2)) + drift
    score = score + 0.05 * random.normal(size=score.shape)
    return score[step < length[:, None]], np.cumsum(length) - length, length


def alarmed(band, score, start, length):
    step = np.arange(len(score)) - np.repeat(start, length)
    return first_alarm(band.alarm(score, step), start, length) >= 0


@pytest.mark.parametrize("shape", ["functional", "constant"])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_exchangeable_episodes_alarm_as_often_as_promised(shape, alpha):
    random = np.random.default_rng(1)
    false, trials, held_out = 0, 300, 20
    for trial in range(trials):
        band = ConformalBand.fit(*curves(random, 60), alpha, steps=60, shape=shape, seed=trial)
        false += alarmed(band, *curves(random, held_out)).sum()
    n = len(band.deviations)
    nominal = 1.0 - math.ceil((n + 1) * (1.0 - alpha)) / (n + 1)
    deviation = math.sqrt(nominal * (1 - nominal) / trials)  # of a trial's rate, at most
    assert nominal <= alpha
    assert false / (trials * held_out) == pytest.approx(nominal, abs=3.5 * deviation)


def test_without_the_finite_sample_rank_the_guarantee_would_not_hold():
    random = np.random.default_rng(2)
    rates = []
    for trial in range(300):
        band = ConformalBand.fit(*curves(random, 40), 0.05, steps=60, seed=trial)
        naive = np.quantile(band.deviations, 0.95)
        score, start, length = curves(random, 20)
        step = np.arange(len(score)) - np.repeat(start, length)
        edge = band.mean[step] + naive * band.modulation[step]
        rates.append((first_alarm(score > edge, start, length) >= 0).mean())
    assert np.mean(rates) > 0.06


def test_the_edge_is_mean_plus_ranked_deviation_times_modulation_by_hand():
    band = ConformalBand(
        alpha=0.4,
        mean=np.array([1.0, 2.0]),
        modulation=np.array([0.5, 1.0]),
        deviations=np.array([0.1, 0.2, 0.3, 0.7]),
        episodes=8,
    )
    # ceil(5 * 0.6) = 3: the third smallest
    assert band.quantile == 0.3
    assert replace(band, alpha=0.1).quantile == math.inf  # ceil(5 * 0.9) = 5 of 4
    assert band.edge(0) == pytest.approx(1.15)
    assert band.edge(np.array([1, 2, 99])).tolist() == pytest.approx([2.3, 2.3, 2.3])
    assert band.alarm(np.array([2.3, 2.31]), np.array([1, 1])).tolist() == [False, True]


@pytest.mark.parametrize(("shape", "needed"), [("functional", 38), ("constant", 19)])
def test_too_few_episodes_are_refused_with_the_number_needed(shape, needed):
    random = np.random.default_rng(0)
    assert fewest_episodes(0.05, shape) == needed
    ConformalBand.fit(*curves(random, needed), 0.05, shape=shape)
    with pytest.raises(ValueError, match=f"needs {needed} successful calibration episodes"):
        ConformalBand.fit(*curves(random, needed - 1), 0.05, shape=shape)


def test_bad_input_is_named():
    score, start, length = curves(np.random.default_rng(0), 40)
    with pytest.raises(ValueError, match="alpha must lie between"):
        ConformalBand.fit(score, start, length, 1.0)
    with pytest.raises(ValueError, match="unknown shape of band 'round'"):
        ConformalBand.fit(score, start, length, 0.2, shape="round")
    score[3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        ConformalBand.fit(score, start, length, 0.2)


def test_a_score_that_never_changes_raises_no_alarm():
    start, length = np.arange(0, 400, 10), np.full(40, 10)
    band = ConformalBand.fit(np.full(400, 0.3), start, length, 0.1)
    assert not alarmed(band, np.full(400, 0.3), start, length).any()
    assert alarmed(band, np.full(400, 0.4), start, length).all()


def test_the_band_covers_episodes_up_to_their_limit():
    band = ConformalBand.fit(*curves(np.random.default_rng(0), 40), 0.2, steps=200)
    assert band.steps == 200
    assert band.edge(199) == band.edge(500)


def test_json_keeps_every_number():
    band = ConformalBand.fit(*curves(np.random.default_rng(0), 40), 0.2)
    again = ConformalBand.from_dict(json.loads(json.dumps(band.to_dict())))
    steps = np.arange(80)
    np.testing.assert_array_equal(again.edge(steps), band.edge(steps))
    assert (again.alpha, again.episodes) == (0.2, 40)


def test_a_false_alarm_rate_is_judged_against_what_its_nominal_lets_expect():
    random = np.random.default_rng(3)
    inside = []
    for trial in range(100):
        band = ConformalBand.fit(*curves(random, 60), 0.1, steps=60, seed=trial)
        judged = false_alarm_rate(band, alarmed(band, *curves(random, 50)))
        inside.append(judged.expected_low <= judged.rate <= judged.expected_high)
        assert judged.low <= judged.rate <= judged.high
    assert np.mean(inside) >= 0.9
    score, start, length = curves(random, 200, drift=1.0)
    assert not false_alarm_rate(band, alarmed(band, score, start, length)).as_promised


def test_the_interval_of_a_rate_is_clopper_and_pearsons():
    band = ConformalBand.fit(*curves(np.random.default_rng(0), 40), 0.1)
    judged = false_alarm_rate(band, np.arange(20) < 2)
    assert (judged.low, judged.high) == pytest.approx((0.0123, 0.3170), abs=1e-3)
    assert false_alarm_rate(band, np.zeros(20, bool)).low == 0.0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("episodes", [2, 3, 7, 20, 99])
def test_the_smallest_alpha_of_so_many_episodes_is_the_smallest(episodes, shape):
    alpha = smallest_alpha(episodes, shape)
    assert fewest_episodes(alpha, shape) <= episodes
    assert fewest_episodes(alpha - 0.002, shape) > episodes
