# SPDX-License-Identifier: Apache-2.0
"""Which messages may lead to a motion."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus_core.supervision import Moment, Order, RateLimit, Standstill, stale

MS = 1_000_000
NOW = 10_000_000 * MS


@pytest.mark.parametrize(
    ("stamp", "said"),
    [
        (NOW, ""),
        (NOW - 100 * MS, ""),
        (NOW + 33 * MS, ""),
        (NOW - 101 * MS, "its observation is 0.101 s old, at most 0.100 s are allowed"),
        (NOW - 3_600_000 * MS, "3600.000 s old"),
        (NOW + 3_600_000 * MS, "3600.000 s in the future by this node's clock"),
        (0, "its stamp is 0"),
    ],
)
def test_what_is_old_or_from_the_future_is_refused(stamp, said):
    problem = stale(stamp, NOW, 0.1, 0.034)
    assert said in problem
    assert bool(problem) == bool(said)


def moments(*numbers):
    """One after the other, 33 ms apart, up to NOW."""
    first = NOW - 33 * MS * (len(numbers) - 1)
    return [Moment(*number, first + 33 * MS * i) for i, number in enumerate(numbers)]


def passed(*numbers, told=None, begins=False):
    order = Order(None if told is None else told.append)
    each = zip(numbers, moments(*numbers), strict=True)
    return [n for n, m in each if not order.refusal(m, NOW, begins and m.step == 0)]


def test_observations_pass_once_and_forward_only():
    order = Order()
    first, second, third = moments((1, 0), (1, 1), (1, 2))
    assert [bool(order.refusal(m, NOW)) for m in (first, third, third, second)] == [0, 0, 1, 1]
    assert "repeats" in order.refusal(third, NOW)
    assert "step 2 of episode 1, which was observed later, is answered" in order.refusal(second)


@pytest.mark.parametrize("wrong", [(1, 2**32 - 1), (2**32 - 1, 0), (2**32 - 1, 2**32 - 1), (0, 5)])
def test_one_message_with_wrong_numbers_locks_nothing_out(wrong):
    good = [(1, 5), (1, 6), (1, 7), (1, 8)]
    assert passed(*good[:2], wrong, *good[2:]) == good


def test_one_wrong_beginning_costs_the_messages_until_several_agree():
    numbers = [(1, 5), (2**32 - 1, 0), (1, 7), (1, 8), (1, 9), (1, 10)]
    assert passed(*numbers, begins=True) == [(1, 5), (2**32 - 1, 0), (1, 9), (1, 10)]


def test_a_restart_is_believed_and_told_once_several_messages_agree():
    told = []
    numbers = [(7, 800), (1, 3), (1, 4), (1, 5), (1, 6)]
    assert passed(*numbers, told=told) == [(7, 800), (1, 5), (1, 6)]
    assert told == [
        "episode 1 goes on at step 5 after step 800 of episode 7: whoever counts was started anew"
    ]


def test_two_sources_that_take_turns_do_not_take_over():
    assert passed((5, 100), (1, 3), (5, 101), (1, 4), (5, 102), (1, 5)) == [
        (5, 100),
        (5, 101),
        (5, 102),
    ]


def test_a_clock_that_is_set_back_is_told_and_service_goes_on():
    told = []
    order = Order(told.append)
    assert not order.refusal(Moment(1, 5, NOW), NOW)
    back = NOW - 3_600_000 * MS
    assert not order.refusal(Moment(1, 6, back), back)
    assert told == ["the clock was set back by at least 3600.000 s"]


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=30),
    st.booleans(),
)
def test_normal_service_returns_within_five_messages_whatever_came_before(before, begin):
    order = Order()
    normal = [(3, 10 + i) for i in range(6)]
    everything = moments(*before, *normal)
    refused = [bool(order.refusal(m, NOW, begin and m.step == 0)) for m in everything]
    assert not any(refused[-3:])


def test_commands_keep_their_distance_but_for_a_little_jitter():
    rate, sent = RateLimit(), []
    for i in range(1000):  # a flood of 1 kHz
        if rate.ready(i * 1e-3, 0.033):
            rate.sent(i * 1e-3)
            sent.append(i)
    assert len(sent) == 34
    assert min(b - a for a, b in pairwise(sent)) == 30


def test_what_arrives_right_after_a_standstill_is_not_trusted():
    still = Standstill()
    assert still.reason(5.0) == ""  # before the first beat nothing is known
    for i in range(10):
        assert still.beat(10.0 + 0.02 * i) == 0.0
        assert still.reason(10.0 + 0.02 * i) == ""
    assert "stood still for 3.00 s until 0.000 s ago" in still.reason(13.18)
    assert still.beat(13.2) == pytest.approx(3.0)
    assert still.beat(13.21) == 0.0  # each standstill is told once
    assert "until 0.020 s ago" in still.reason(13.2)
    assert still.reason(13.24) == ""
