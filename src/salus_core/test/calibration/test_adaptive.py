# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus_core.calibration import AdaptiveThreshold, ConformalBand


def threshold(alpha=0.05, n=200):
    """Of scores that are uniform between 0 and 1 in calibration."""
    known = (np.arange(n) + 0.5) / n
    return ConformalBand(alpha, np.zeros(10), np.ones(10), known, n, "constant")


def follow(adaptive, scores):
    """Alarms of successful episodes with these largest scores."""
    alarms = []
    for score in scores:
        alarms.append(bool(score > adaptive.threshold.edge(0)))
        adaptive.success(alarms[-1], bool(score > threshold(adaptive.promised).edge(0)))
    return np.array(alarms)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.booleans(), max_size=300),
    st.sampled_from([0.02, 0.05, 0.1, 0.3]),
    st.sampled_from([None, 0.01, 0.2]),
)
def test_false_alarms_are_bounded_whatever_comes(wanted, alpha, step):
    """An adversary picks in which episodes a score is so high that any finite edge is passed."""
    adaptive = AdaptiveThreshold(threshold(alpha), step)
    start, alarms = adaptive.alpha, follow(adaptive, [10.0 if one else -10.0 for one in wanted])
    bound = alpha * len(wanted) + (start + adaptive.step) / adaptive.step
    assert alarms.sum() <= bound + 1e-6


def test_without_a_change_the_rate_stays_and_nothing_is_warned_of():
    adaptive = AdaptiveThreshold(threshold())
    alarms = follow(adaptive, np.random.default_rng(1).uniform(size=2000))
    assert alarms.mean() == pytest.approx(0.05, abs=0.01)
    assert not adaptive.warns


def test_after_a_change_the_rate_returns_and_the_promise_is_said_to_be_broken():
    random = np.random.default_rng(2)
    adaptive = AdaptiveThreshold(threshold())
    follow(adaptive, random.uniform(size=50))
    shifted = random.uniform(size=300) ** 0.25  # 18 % are above what 5 % were
    assert (shifted > threshold().edge(0)).mean() > 0.14
    alarms = follow(adaptive, shifted)
    assert alarms[-50:].mean() <= 0.1
    assert adaptive.recent_rate == alarms[-50:].mean()
    assert adaptive.warns


def test_it_stays_where_it_is_while_it_is_frozen():
    adaptive = AdaptiveThreshold(threshold())
    adaptive.frozen = True
    follow(adaptive, np.ones(20))
    assert adaptive.alpha == 0.05
    assert (adaptive.successes, adaptive.false_alarms) == (20, 20)


def test_a_restart_goes_on():
    random = np.random.default_rng(3)
    first = AdaptiveThreshold(threshold())
    follow(first, random.uniform(size=40))
    second = AdaptiveThreshold(threshold())
    second.restore(json.loads(json.dumps(first.to_dict())))
    later = random.uniform(size=40)
    assert (follow(first, later) == follow(second, later)).all()
    assert first.to_dict() == second.to_dict()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("promised", 0.1),
        ("alpha", 3.0),
        ("successes", -1),
        ("false_alarms", 1000),
        ("recent", [2]),
        ("recent", [0] * 51),
        ("wealth", [1.0]),
        ("warned", 1),
    ],
)
def test_what_cannot_be_gone_on_from_is_refused(name, value):
    adaptive = AdaptiveThreshold(threshold())
    before = adaptive.to_dict()
    with pytest.raises(ValueError, match=r"rate of|'"):
        adaptive.restore({**before, name: value})
    assert adaptive.to_dict() == before
