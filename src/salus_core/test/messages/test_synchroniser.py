# SPDX-License-Identifier: Apache-2.0
"""The synchroniser: what belongs to an anchor, in whatever order messages arrive."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_messages import MS, joints, pose, stamped, stamps_of, step

from salus_core.messages import Input, JointInput, PoseInput, Synchroniser

PERIOD = 33 * MS


class Match:
    """A synchroniser and what it gave."""

    def __init__(self, *names, inputs=(), **settings):
        self.found, self.restarts = [], []
        given = [*(Input(name) for name in names), *inputs]
        self.sync = Synchroniser(
            given, self.found.append, on_restart=self.restarts.append, **settings
        )

    def play(self, events):
        """Events are (arrival [ns], name, message); the anchor's name is 'step'."""
        for arrival, name, message in sorted(events, key=lambda event: event[0]):
            now = arrival / 1e9
            if name == "step":
                key = (message.episode, message.step)
                self.sync.add_anchor(message, now, key, message.episode)
            else:
                self.sync.add(name, message, now)


@pytest.mark.parametrize("order", list(itertools.permutations(["step", "front", "side"])))
def test_equal_stamps_give_an_observation_with_its_last_message(order):
    match = Match("front", "side")
    for count, name in enumerate(order, start=1):
        assert not match.found
        match.play([(count, name, step(5, 1, 0))])
    assert match.found[0].complete
    assert stamps_of(match.found[0]) == {"front": 5, "side": 5}


def test_a_camera_that_is_late_and_joints_that_are_fast_are_matched_every_time():
    """Frames come 45 to 80 ms after their stamp at 30 Hz; joints at 500 Hz at once."""
    draw = random.Random(1)
    events = [(n * 2 * MS, "joints", stamped(n * 2 * MS)) for n in range(1000)]
    for n in range(50):
        stamp = n * PERIOD // (2 * MS) * 2 * MS
        events.append((stamp + 1, "step", step(stamp, 1, n)))
        events.append((stamp + draw.randint(45, 80) * MS, "front", stamped(stamp)))
    match = Match("front", "joints")
    match.play(events)
    assert len(match.found) == 50
    assert all(one.complete and set(stamps_of(one).values()) == {one.stamp} for one in match.found)


def test_a_second_camera_that_comes_after_the_leader_gives_its_own_frame_not_the_one_before():
    match = Match("side", tolerance=0.05)
    match.play([(n * PERIOD, "step", step(n * PERIOD, 1, n)) for n in range(3)][:1])
    events = []
    for n in range(1, 20):
        events.append((n * PERIOD, "step", step(n * PERIOD, 1, n)))
        events.append((n * PERIOD + 8 * MS, "side", stamped(n * PERIOD)))
    match.play([(5 * MS, "side", stamped(0)), *events])
    assert [stamps_of(one)["side"] for one in match.found] == [one.stamp for one in match.found]
    assert len(match.found) == 20


def test_joints_at_1_khz_are_found_after_a_policy_of_400_ms():
    events = [(n * MS, "joint_states", joints(n * MS, ["a"], [n])) for n in range(4000)]
    events += [(n * PERIOD + 400 * MS, "step", step(n * PERIOD, 1, n)) for n in range(100)]
    match = Match(inputs=[JointInput(["a"])])
    match.play(events)
    assert len(match.found) == 100
    for one in match.found:
        assert one.values["joint_states"].positions(["a"])[0] * MS == one.stamp


def test_an_offset_of_2_ms_is_said_with_the_remedy_and_matched_within_the_tolerance():
    events = []
    for n in range(10):
        events.append((n * PERIOD, "step", step(n * PERIOD, 1, n)))
        events.append((n * PERIOD + 3 * MS, "tool", stamped(n * PERIOD + 2 * MS)))
    strict, loose = Match("tool"), Match("tool", tolerance=0.005)
    for match in (strict, loose):
        match.play(events)
        match.sync.finish()
    assert [one.complete for one in strict.found] == [False] * 10
    assert strict.sync.counts["tool"].missing == 10
    assert strict.sync.counts["tool"].offset == 2 * MS
    sentence = strict.sync.problems()[0]
    assert "tool is missing at 10 of 10" in sentence
    assert "2 ms after" in sentence
    assert "at least 0.002" in sentence
    assert all(one.complete for one in loose.found)
    assert not loose.sync.problems()


def test_with_a_tolerance_the_nearest_is_final_once_a_later_message_has_come():
    match = Match("side", tolerance=0.05)
    match.play([(1, "side", stamped(90 * MS)), (2, "step", step(100 * MS, 1, 0))])
    assert not match.found
    match.play([(3, "side", stamped(104 * MS))])
    assert stamps_of(match.found[0]) == {"side": 104 * MS}


def test_a_late_message_is_waited_for_so_long_and_no_longer():
    match = Match("front", wait=0.2)
    match.play([(0, "step", step(5, 1, 0))])
    match.sync.tick(0.19)
    assert not match.found
    match.sync.tick(0.2)
    assert match.found[0].missing == {"front": "nothing came"}


def test_the_newest_anchor_waits_for_an_environment_that_stood_still_as_it_sent():
    """In lockstep nobody sends another step before this one is answered."""
    match = Match("front", "side", wait=1.0, newest_wait=5.0)
    match.play([(0, "step", step(5, 1, 0)), (1, "front", step(5, 1, 0))])
    match.sync.tick(4.9)
    assert not match.found
    match.play([(4_950 * MS, "side", step(5, 1, 0))])
    assert match.found[0].complete
    # One that is followed by another waits no longer than others.
    match.play([(6_000 * MS, "step", step(6, 1, 1)), (8_000 * MS, "step", step(7, 1, 2))])
    assert [(one.key[1], one.complete) for one in match.found] == [(0, True), (1, False)]
    match.sync.tick(13.0)
    assert [one.key[1] for one in match.found] == [0, 1, 2]


def test_what_its_source_has_passed_is_not_waited_for():
    match = Match("front")
    match.play([(0, "step", step(5, 1, 0)), (1, "front", stamped(6))])
    assert not match.found[0].complete


def test_repeated_frames_and_anchors_are_dropped():
    match = Match("front")
    first = stamped(5)
    match.play([(0, "front", first), (1, "front", stamped(5)), (2, "step", step(5, 1, 0))])
    match.play([(3, "step", step(5, 1, 0))])
    assert len(match.found) == 1
    assert match.found[0].values["front"] is first
    assert match.sync.counts["front"].repeated == 1
    assert match.sync.repeated_anchors == 1


def test_anchors_come_out_in_their_order():
    match = Match("front", wait=0.5)
    match.play([(n, "step", step(n * PERIOD, 1, n)) for n in range(3)])
    match.play([(10 + n, "front", stamped(stamp)) for n, stamp in enumerate([0, PERIOD])])
    assert [one.key for one in match.found] == [(1, 0), (1, 1)]


def restarting(latencies, episodes=3, steps=20, gap=500 * MS):
    """Stamps that begin anew with each episode; each message says from which one it is."""
    events = []
    for episode in range(episodes):
        begin = episode * (steps * PERIOD + gap)
        for n in range(steps):
            stamp = 10**9 + n * PERIOD
            events.append((begin + n * PERIOD, "step", step(stamp, episode, n)))
            for name, latency in latencies.items():
                message = stamped(stamp, episode=episode)
                events.append((begin + n * PERIOD + latency, name, message))
    return events


@pytest.mark.parametrize("gap", [0, 200 * MS, 5000 * MS])
@pytest.mark.parametrize(
    "latencies",
    [
        {"front": 1, "tool": 2},
        {"front": -2, "tool": -1},
        {"front": 80 * MS, "tool": 1},  # late across the jump: of the last episode
        {"front": -1, "tool": 150 * MS},
    ],
)
def test_stamps_that_restart_never_mix_episodes(latencies, gap):
    match = Match(*latencies)
    match.play(restarting(latencies, gap=gap))
    match.sync.finish()
    assert len(match.found) == 60
    for one in match.found:
        assert one.complete, one.missing
        assert {value.episode for value in one.values.values()} == {one.key[0]}
    assert len(match.restarts) == 2


def test_an_early_message_of_the_next_episode_does_not_belong_to_the_last_one():
    """The last episode's frame is lost, and the next one's has the same stamp."""
    match = Match("front")
    match.play([(n * PERIOD, "front", stamped(n * PERIOD, episode=0)) for n in range(9)])
    match.play([(n * PERIOD + 1, "step", step(n * PERIOD, 0, n)) for n in range(10)])
    assert match.sync.waiting == 1
    begin = 10 * PERIOD
    match.play([(begin + n * PERIOD, "front", stamped(n * PERIOD, episode=1)) for n in range(10)])
    match.play([(begin + 10 * PERIOD, "step", step(0, 1, 0))])
    match.sync.finish()
    assert not match.found[9].complete
    assert match.found[10].values["front"].episode == 1


def test_a_gap_after_a_restart_of_a_clock_that_runs_fast_leads_into_no_earlier_episode():
    """Stamps 1 s apart come every 33 ms, as a simulator that runs 30 times as fast gives them."""
    events = []
    for episode in range(2):
        for n in [*range(8), *range(35, 40)]:
            arrival, stamp = (40 * episode + n) * PERIOD, n * 10**9
            events.append((arrival, "front", stamped(stamp, episode=episode)))
            events.append((arrival + 1, "step", step(stamp, episode, n)))
    match = Match("front")
    match.play(events)
    assert [one.values["front"].episode for one in match.found] == [0] * 13 + [1] * 13


def test_one_wrong_stamp_of_one_topic_costs_that_message_only():
    match = Match("front", "tool", wait=0.1)
    events = []
    for n in range(30):
        for name in ("front", "tool"):
            wrong = name == "front" and n == 10
            events.append((n * PERIOD, name, stamped(0 if wrong else 10**9 + n * PERIOD)))
        events.append((n * PERIOD + 1, "step", step(10**9 + n * PERIOD, 1, n)))
    match.play(events)
    assert [one.key[1] for one in match.found if not one.complete] == [10]


def test_small_reorderings_of_two_publishers_begin_no_epoch():
    match = Match("tf", tolerance=0.01)
    events = []
    for n in range(20):
        for late, stamp in ((4, 0), (2, 3)):
            events.append((n * PERIOD + late * MS, "tf", stamped(10**9 + n * PERIOD + stamp * MS)))
        events.append((n * PERIOD + 20 * MS, "step", step(10**9 + n * PERIOD, 1, n)))
    match.play(events)
    match.sync.finish()
    assert not match.restarts
    assert [stamps_of(one)["tf"] - one.stamp for one in match.found] == [0] * 20


def test_memory_is_bounded_by_time_and_by_number():
    match = Match(inputs=[Input("front", capacity=50)], window=1.0)
    match.play([(n * MS, "front", stamped(n * MS)) for n in range(40)])
    match.play([(2000 * MS, "front", stamped(2000 * MS))])
    match.play([(2000 * MS + 1, "step", step(30 * MS, 1, 0))])
    assert not match.found[0].complete
    match.play([((2001 + n) * MS, "front", stamped((2001 + n) * MS)) for n in range(60)])
    assert match.sync.counts["front"].overflown == 11


def test_an_input_that_is_not_required_is_neither_waited_for_nor_counted():
    match = Match(inputs=[Input("front", required=False), PoseInput()])
    match.play([(0, "tool_pose", pose(5)), (1, "step", step(5, 1, 0))])
    assert match.found[0].complete
    match.sync.require("front", True)
    match.play([(2, "tool_pose", pose(6)), (3, "step", step(6, 1, 1))])
    assert len(match.found) == 1


def test_a_message_that_cannot_be_used_gives_its_reason():
    match = Match(inputs=[PoseInput()])
    match.play([(0, "tool_pose", pose(5, w=0.5)), (1, "step", step(5, 1, 0))])
    assert "orientation has length 0.5" in match.found[0].missing["tool_pose"]
    assert match.sync.counts["tool_pose"].unusable == 1


@pytest.mark.parametrize("wrong", ["front", "step"])
def test_one_stamp_of_the_future_costs_no_later_observations(wrong):
    match = Match("front", wait=0.05)
    events = []
    for n in range(30):
        stamp = n * PERIOD + (10**13 if n == 10 else 0)
        plain = {"step": step(n * PERIOD, 1, n), "front": stamped(n * PERIOD)}
        plain[wrong] = step(stamp, 1, n)
        events += [(n * PERIOD, name, message) for name, message in plain.items()]
    match.play(events)
    match.sync.finish()
    assert len(match.found) == 30
    assert {one.key[1] for one in match.found if not one.complete} <= {10, 11}
    assert match.restarts == []


def test_an_anchor_whose_sources_have_all_begun_anew_is_not_waited_for():
    match = Match("front", wait=10.0)
    match.play([(0, "front", stamped(10**9)), (1, "step", step(10**9 + PERIOD, 1, 3))])
    assert not match.found
    match.play([(2 * MS, "front", stamped(0))])
    assert [one.complete for one in match.found] == [False]


STRANGE = st.sampled_from([0, 1, 999_999_999, 10**9, (2**31 - 1) * 10**9, 50 * PERIOD, 10**14])


@settings(max_examples=300, deadline=None)
@given(
    strange=st.lists(st.tuples(st.sampled_from(["step", "front", "side"]), STRANGE), max_size=40),
    begin=st.sampled_from([0, 5 * 10**9, 1_700_000_000 * 10**9]),
)
def test_whatever_stamps_a_stranger_sends_all_is_matched_again_in_time(strange, begin):
    match = Match("front", "side", wait=0.2)
    events = []
    for n in range(30 * 6):
        arrival = begin + n * PERIOD
        events += [(arrival, name, stamped(arrival)) for name in ("front", "side")]
        events.append((arrival, "step", step(arrival, 1, n)))
    attacked = begin + 45 * PERIOD
    for count, (name, stamp) in enumerate(strange):
        wrong = step(stamp, 9, count) if name == "step" else stamped(stamp)
        events.append((attacked + count * 5 * MS, name, wrong))
    match.play(events)
    for n in range(30 * 6):
        match.sync.tick((begin + n * PERIOD) / 1e9)
    mine = [one for one in match.found if one.anchor.episode == 1]
    last = attacked + len(strange) * 5 * MS
    after = [one for one in mine if begin + one.anchor.step * PERIOD > last + 2_500 * MS]
    assert len(after) > 30
    assert all(one.complete for one in after)
