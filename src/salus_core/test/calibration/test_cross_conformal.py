# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from salus_core.calibration import (
    ConformalBand,
    CrossConformal,
    running_peaks,
    threshold_from_dict,
)

MEMBERS = 5


def drawn(random, number):
    """Episodes of 20 steps with 3 numbers each; every episode at its own level."""
    return random.normal(size=(number, 20, 3)) + random.normal(size=(number, 1, 3))


def fitted(random, number, alpha):
    """A threshold whose members learn the mean and spread of the other folds."""
    episodes = drawn(random, number)
    fold = np.arange(number) % MEMBERS
    means = np.stack([episodes[fold != m].mean(axis=(0, 1)) for m in range(MEMBERS)])
    scales = np.stack([episodes[fold != m].std(axis=(0, 1)) for m in range(MEMBERS)])

    def risks(found):
        away = (np.abs(found[:, :, None] - means) / scales).max(axis=-1)
        return 1.0 - np.exp(-away)

    known = risks(episodes).max(axis=1)[np.arange(number), fold]
    return CrossConformal(alpha, known, fold, MEMBERS), risks


@pytest.mark.parametrize("number", [20, 40])
def test_exchangeable_successes_alarm_about_as_often_as_asked_for(number):
    random = np.random.default_rng(1)
    rates = []
    for _ in range(300):
        band, risks = fitted(random, number, 0.1)
        peaks = np.maximum.accumulate(risks(drawn(random, 20)), axis=1)
        alarms = band.alarm(band.score(peaks), np.arange(20))
        rates.append(alarms.any(axis=1).mean())
    error = np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates) < band.bound
    assert np.mean(rates) == pytest.approx(0.1, abs=0.025 + 2 * error)


def test_the_alarm_is_a_small_cross_conformal_p_value():
    random = np.random.default_rng(2)
    band, risks = fitted(random, 23, 0.2)
    peaks = risks(drawn(random, 200)).max(axis=1)
    at_least = sum(band.scores[i] >= peaks[:, band.member[i]] for i in range(len(band.scores)))
    p_value = (1 + at_least) / (len(band.scores) + 1)
    assert (band.alarm(band.score(peaks), 0) == (p_value <= 0.2 + 1e-12)).all()


def test_the_score_never_falls_within_an_episode_and_tells_equal_ranks_apart():
    random = np.random.default_rng(3)
    band, risks = fitted(random, 20, 0.1)
    found = risks(drawn(random, 2))
    peaks = running_peaks(found.reshape(40, MEMBERS), np.array([0, 20]), np.array([20, 20]))
    score = band.score(peaks).reshape(2, 20)
    assert (np.diff(score, axis=1) >= 0).all()
    above = np.array([[0.99] * MEMBERS, [0.995] * MEMBERS])
    assert band.score(above)[0] < band.score(above)[1]
    assert ((score > 0) & (score < 1)).all()


def test_too_few_successes_never_alarm():
    band = CrossConformal(0.05, np.zeros(10), np.arange(10) % 2, 2)
    assert not band.alarm(np.array([1.0]), np.array([0])).any()


def test_it_is_read_as_it_was_written_beside_the_other_kind():
    random = np.random.default_rng(4)
    band, risks = fitted(random, 20, 0.1)
    again = threshold_from_dict(json.loads(json.dumps(band.to_dict())))
    peaks = risks(drawn(random, 5)).max(axis=1)
    assert isinstance(again, CrossConformal)
    assert (again.score(peaks) == band.score(peaks)).all()
    split = ConformalBand(0.1, np.zeros(3), np.ones(3), np.arange(9.0), 9, "constant")
    assert isinstance(threshold_from_dict(split.to_dict()), ConformalBand)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", 0.0),
        ("scores", [0.1, float("nan")]),
        ("member", [0, 5]),
        ("member", [0.5, 1]),
        ("member", [0]),
        ("members", 1),
    ],
)
def test_a_damaged_one_is_refused_by_name(name, value):
    content = {
        "kind": "cross_conformal",
        "alpha": 0.1,
        "scores": [0.1, 0.2],
        "member": [0, 1],
        "members": 2,
    }
    threshold_from_dict(content)
    with pytest.raises(ValueError, match=f"'{name}'"):
        threshold_from_dict({**content, name: value})
