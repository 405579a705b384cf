# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from salus_core.calibration import DriftMonitor, DriftReference

NAMES = ("first", "second", "never")


def episode_of(random, shift=0.0):
    """8 steps of three signals, of which the last is never valid."""
    level = random.normal(size=2)
    steps = level + 0.5 * random.normal(size=(8, 2)) + np.array([shift, 0.0])
    return np.column_stack([steps, np.full(8, np.nan)])


def reference(random, number=100, **changes):
    episodes = [episode_of(random) for _ in range(number)]
    return DriftReference.fit(
        np.concatenate(episodes), np.repeat(np.arange(number), 8), NAMES, **changes
    )


def run(monitor, random, number, shift=0.0):
    for _ in range(number):
        for step in episode_of(random, shift):
            monitor.add(step)
        monitor.end_episode()
    return monitor


def test_false_warnings_are_as_rare_as_promised():
    warnings = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        monitor = DriftMonitor(reference(random, 50, false_warning_rate=0.1), seed)
        warnings += run(monitor, random, 60).warning
    assert warnings <= 11  # 6 expected at most; 11 has a probability below 2 %


def test_a_shifted_signal_is_named_after_some_episodes():
    random = np.random.default_rng(0)
    monitor = run(DriftMonitor(reference(random)), random, 20)
    assert not monitor.warning
    run(monitor, random, 40, shift=3.0)
    assert monitor.drifted == ("first",)
    assert monitor.episodes == 60
    assert np.isfinite(run(monitor, random, 200, shift=1e6).evidence).all()


def test_values_outside_the_range_are_seen_at_once():
    random = np.random.default_rng(0)
    monitor = run(DriftMonitor(reference(random)), random, 1)
    assert monitor.outside < 0.1
    for _ in range(5):
        for step in episode_of(random, shift=100.0):
            monitor.add(step)
    assert monitor.outside == pytest.approx(0.5, abs=0.05)  # one of the two signals that are valid
    assert not monitor.warning


def test_a_signal_that_is_never_valid_says_nothing():
    random = np.random.default_rng(0)
    monitor = run(DriftMonitor(reference(random)), random, 5)
    assert monitor.evidence[2] == 1.0


def test_json_keeps_the_reference():
    given = reference(np.random.default_rng(0), 10)
    again = DriftReference.from_dict(json.loads(json.dumps(given.to_dict())))
    np.testing.assert_array_equal(again.means, given.means)
    np.testing.assert_array_equal(again.low, given.low)


def test_names_must_fit():
    with pytest.raises(ValueError, match="2 names for 3 signals"):
        DriftReference.fit(np.zeros((4, 3)), np.zeros(4, int), ("a", "b"))
