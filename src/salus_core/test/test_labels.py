# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from salus_core.failures import FAILURE_NAMES, FAILURE_TYPES, HORIZONS_S, FailureType, Outcome
from salus_core.labels import failure_labels, horizon_steps

PERIOD = 1.0 / 30.0


def drop_at(onset, length=50, **changes):
    arguments = {
        "length": length,
        "outcome": Outcome.FAILED,
        "failure": FailureType.DROP,
        "onset_step": onset,
        "control_period": PERIOD,
        **changes,
    }
    return failure_labels(**arguments)


def test_horizons_are_6_9_12_15_steps_at_30_hz():
    assert horizon_steps(PERIOD).tolist() == [6, 9, 12, 15]
    assert horizon_steps(float(np.float32(PERIOD))).tolist() == [6, 9, 12, 15]
    assert horizon_steps(0.05).tolist() == [4, 6, 8, 10]


def test_horizons_that_a_slow_robot_cannot_tell_apart_are_refused():
    assert horizon_steps(0.2, (0.4, 1.0)).tolist() == [2, 5]
    with pytest.raises(ValueError, match=r"same number of steps of 0\.2 s"):
        horizon_steps(0.2)


@pytest.mark.parametrize("period", [0.0, -1.0, float("nan"), 0.5])
def test_impossible_periods_are_refused(period):
    with pytest.raises(ValueError, match=r"period|step"):
        horizon_steps(period)


def test_types_and_names_are_in_the_order_of_the_labels():
    assert FAILURE_NAMES == ("collision", "drop", "missed_grasp", "timeout")
    assert [int(failure) for failure in FAILURE_TYPES] == [1, 2, 3, 4]


def test_label_is_one_exactly_within_the_horizon_before_the_onset():
    labels = drop_at(30)
    assert labels.y.shape == (50, len(HORIZONS_S), 4)
    for h, reach in enumerate((6, 9, 12, 15)):
        assert np.flatnonzero(labels.y[:, h, 1]).tolist() == list(range(30 - reach, 30))
    assert not labels.y[:, :, [0, 2, 3]].any()


def test_steps_from_the_onset_on_are_censored():
    labels = drop_at(30)
    assert labels.valid[:30].all()
    assert not labels.valid[30:].any()


def test_onset_may_be_the_observation_after_the_last_row():
    labels = drop_at(50)
    assert labels.valid.all()
    assert labels.y[49, 0, 1]
    assert np.flatnonzero(labels.y[:, 0, 1]).tolist() == list(range(44, 50))


def test_onset_at_the_first_step_leaves_nothing_to_learn():
    labels = drop_at(0)
    assert not labels.valid.any()
    assert not labels.y.any()


def test_success_is_zero_everywhere_and_valid():
    labels = drop_at(-1, outcome=Outcome.SUCCEEDED, failure=FailureType.NONE)
    assert labels.valid.all()
    assert not labels.y.any()


def test_aborted_episode_is_unknown_where_the_horizon_reaches_beyond_it():
    labels = drop_at(-1, outcome=Outcome.ABORTED, failure=FailureType.NONE)
    for h, reach in enumerate((6, 9, 12, 15)):
        assert labels.valid[:, h].tolist() == [step < 50 - reach for step in range(50)]


def test_all_steps_of_an_intervened_episode_are_censored():
    assert not drop_at(30, intervened=True).valid.any()
    assert drop_at(30, intervened=True).y.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outcome": Outcome.RUNNING}, "still running"),
        ({"outcome": Outcome.SUCCEEDED}, "contradicts"),
        ({"failure": FailureType.NONE}, "contradicts"),
        ({"onset": 51}, "outside"),
        ({"onset": -1}, "outside"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        drop_at(**{"onset": 30, **changes})
