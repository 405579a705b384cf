# SPDX-License-Identifier: Apache-2.0
"""Commands of a person become the beginning, end and outcome of episodes."""

import pytest
from std_msgs.msg import Header

from salus_core.failures import BUILT_IN, Taxonomy
from salus_recorder.episode_marks import KEPT_STEPS, EpisodeMarks, MarkError


def header(step):
    result = Header()
    result.stamp.sec, result.stamp.nanosec = divmod(10**9 + step * 50_000_000, 10**9)
    return result


def running(steps=40, taxonomy=BUILT_IN):
    marks = EpisodeMarks(taxonomy)
    assert marks.obey("begin", "sort").episode == 1
    for step in range(steps):
        marks.step(1, step, header(step))
    return marks


def test_an_episode_ends_at_the_last_step_that_was_observed():
    mark = running().obey("success", "")
    assert (mark.episode, mark.step, mark.state, mark.instruction) == (1, 39, 1, "sort")
    assert mark.header == header(39)


@pytest.mark.parametrize(
    ("rest", "onset"), [("drop", 39), ("drop 0", 39), ("drop 1.0", 19), ("drop 99", 0)]
)
def test_a_failure_began_so_many_seconds_ago_by_the_stamps(rest, onset):
    mark = running().obey("fail", rest)
    assert (mark.state, mark.failure, mark.failure_name, mark.onset_step) == (2, 2, "drop", onset)


def test_a_type_of_ones_own_goes_by_its_name():
    marks = running(taxonomy=Taxonomy.of((*BUILT_IN.names, "spill")))
    mark = marks.obey("fail", "spill 0.5")
    assert (mark.failure, mark.failure_name, mark.onset_step) == (255, "spill", 29)


@pytest.mark.parametrize(
    ("word", "rest", "said"),
    [
        ("begin", "", "episode 1 runs: end it first"),
        ("stop", "", "'stop' is no command: use begin"),
        ("success", "now", "takes nothing more"),
        ("fail", "", "failure type '' is not known: use collision"),
        ("fail", "spill", "failure type 'spill' is not known"),
        ("fail", "drop soon", "'soon' is no time in seconds"),
        ("fail", "drop -1", "cannot have begun -1 s ago"),
        ("fail", "drop nan", "cannot have begun nan s ago"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_episode_goes_on(word, rest, said):
    marks = running()
    with pytest.raises(MarkError, match=said):
        marks.obey(word, rest)
    assert marks.obey("success", "").step == 39


def test_nothing_ends_before_it_begins_and_without_a_step_only_abort_is_possible():
    marks = EpisodeMarks(BUILT_IN)
    for word in ("success", "fail", "abort"):
        with pytest.raises(MarkError, match="begin one first"):
            marks.obey(word, "drop" if word == "fail" else "")
    marks.obey("begin", "")
    with pytest.raises(MarkError, match="only abort is possible"):
        marks.obey("success", "")
    assert marks.obey("abort", "").step == 0
    assert marks.obey("begin", "").episode == 2


def test_numbers_go_on_after_those_that_others_know():
    marks = EpisodeMarks(BUILT_IN)
    marks.known(7)
    marks.step(9, 0, header(0))
    assert marks.obey("begin", "").episode == 10
    marks.known(50)  # while it runs nothing changes its number
    marks.step(10, 0, header(0))
    assert marks.obey("success", "").episode == 10
    assert marks.last == 10


def test_steps_of_others_repeated_ones_and_hours_take_no_memory():
    marks = running(3)
    marks.step(1, 1, header(1))
    marks.step(8, 99, header(99))
    assert marks.obey("success", "").step == 2
    marks.obey("begin", "")
    for step in range(2 * KEPT_STEPS):
        marks.step(2, step, header(step))
    mark = marks.obey("fail", f"drop {10 * KEPT_STEPS}")
    assert mark.onset_step == KEPT_STEPS
