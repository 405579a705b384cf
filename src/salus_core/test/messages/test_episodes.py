# SPDX-License-Identifier: Apache-2.0
"""The episode tracker: numbers and stamps may begin again, episodes do not."""

import pytest
from made_up_messages import MS, Message, header, step

from salus_core.failures import FAILURE_NAMES, Taxonomy
from salus_core.messages import EpisodeTracker, InvalidInputError, failure_name, outcome


def status(episode, state=0, number=0, seed=1, stamp=0, **fields):
    return Message(
        header=header(stamp), episode=episode, state=state, step=number, seed=seed, **fields
    )


def setup(episode, stamp=0, seed=1):
    return Message(header=header(stamp), episode=episode, seed=seed)


def collect(tracker, episodes, begin=0, steps=5, stamp=0, announce=True):
    """Play episodes as a world, a policy and a referee do; returns positions by topic."""
    found = []
    for episode in episodes:
        if announce:
            found.append(tracker.setup(setup(episode, stamp)).position)
            found.append(tracker.status(status(episode)).position)
        for number in range(steps):
            message = step(stamp + number * 33 * MS, episode, begin + number)
            found += [tracker.step(topic, message).position for topic in ("step", "vla_signals")]
        if announce:
            found.append(tracker.status(status(episode, 1, begin + steps)).position)
    return found


@pytest.mark.parametrize("announce", [True, False])
@pytest.mark.parametrize("stamp", [0, 10**9], ids=["same stamps", "later stamps"])
def test_a_restart_of_numbering_begins_episodes_of_their_own(announce, stamp):
    said = []
    tracker = EpisodeTracker(on_restart=said.append)
    first = collect(tracker, [1, 2], announce=announce)
    second = collect(tracker, [1, 2], stamp=stamp, announce=announce)
    assert set(first) == {0, 1}
    assert set(second) == {2, 3}
    assert [episode.number for episode in tracker.episodes] == [1, 2, 1, 2]
    assert len(said) == 1
    assert "episode 1 begins after episode 2" in said[0]


def test_one_episode_of_the_same_number_again_is_another():
    tracker = EpisodeTracker()
    assert set(collect(tracker, [7])) == {0}
    assert set(collect(tracker, [7])) == {1}


def test_the_status_is_kept_for_each_episode():
    tracker = EpisodeTracker()
    collect(tracker, [1])
    tracker.status(status(2, seed=9))
    late = tracker.step("vla_signals", step(4 * 33 * MS, 1, 4))
    assert (late.position, late.status.state) == (0, 1)
    assert tracker.step("vla_signals", step(10**9, 2, 0)).status.seed == 9


def test_a_late_message_belongs_to_the_episode_that_it_was_sent_in():
    tracker = EpisodeTracker()
    collect(tracker, [1])
    tracker.step("failure_forecast", step(0, 1, 0))
    tracker.status(status(1))  # a world that was started anew
    tracker.step("step", step(10**9, 1, 0))
    assert tracker.step("failure_forecast", step(33 * MS, 1, 1)).position == 0
    assert tracker.step("failure_forecast", step(10**9, 1, 0)).position == 1


def test_a_rare_message_belongs_to_the_episode_whose_step_has_its_stamp():
    tracker = EpisodeTracker()
    collect(tracker, [1, 2])
    tracker.step("intervention", step(33 * MS, 1, 1))
    collect(tracker, [1, 2], stamp=10**9)
    assert tracker.step("intervention", step(10**9 + 3 * 33 * MS, 2, 3)).position == 3


def test_repetitions_begin_nothing():
    tracker = EpisodeTracker()
    for _ in range(2):
        tracker.setup(setup(1))
        tracker.status(status(1))
        tracker.step("step", step(5, 1, 0))
    tracker.status(status(1, number=4))
    assert len(tracker.episodes) == 1


def test_only_the_last_episodes_are_remembered():
    tracker = EpisodeTracker(keep=3)
    collect(tracker, range(10))
    assert [episode.position for episode in tracker.episodes] == [7, 8, 9]


def test_failures_are_told_by_name_or_code():
    spill = Taxonomy((*FAILURE_NAMES, "spill"))
    assert failure_name(status(1, 2, failure=3)) == "missed_grasp"
    assert failure_name(status(1, 2, failure=3, failure_name="miss")) == "missed_grasp"
    assert failure_name(status(1, 2, failure=255, failure_name="spill"), spill) == "spill"
    assert failure_name(status(1, 1, failure=0)) == ""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"state": 2, "failure": 9}, "EpisodeStatus.failure: failure type 9 does not exist"),
        ({"state": 2, "failure": 255, "failure_name": ""}, "failure_name is empty"),
        ({"state": 2, "failure": 255, "failure_name": "spill"}, "'spill' is not known"),
        ({"state": 2, "failure": 0}, "a failed episode needs a type"),
        ({"state": 1, "failure": 2}, "any other has none"),
    ],
)
def test_failures_that_do_not_exist_are_refused_by_name(wrong, said):
    with pytest.raises(InvalidInputError, match=f"episode 3: .*{said}"):
        failure_name(status(3, **wrong))


def test_a_state_that_does_not_exist_is_refused():
    with pytest.raises(InvalidInputError, match=r"episode 3: EpisodeStatus\.state is 8"):
        outcome(status(3, 8))


def test_a_stamp_that_goes_back_under_the_same_number_begins_an_episode():
    tracker = EpisodeTracker()
    assert tracker.step("step", step(10**9, 1, 3)).position == 0
    assert tracker.step("step", step(MS, 1, 9)).position == 1


def test_a_status_whose_stamp_goes_back_begins_another_episode():
    tracker = EpisodeTracker()
    before = tracker.status(status(1, stamp=5))
    assert tracker.status(status(1, number=1, stamp=6)) is before
    assert tracker.status(status(1, stamp=0)).position == before.position + 1


@pytest.mark.parametrize("stray", [(2**32 - 1, 2**32 - 1), (7, 0), (1, 2**32 - 1)])
def test_one_stray_number_ends_no_running_episode(stray):
    tracker = EpisodeTracker()
    tracker.status(status(1))
    found = [tracker.step("step", step(n * 33 * MS, 1, n)).position for n in range(3)]
    tracker.step("step", step(3 * 33 * MS, *stray))
    found += [tracker.step("step", step(n * 33 * MS, 1, n)).position for n in range(3, 6)]
    assert set(found) == {0}
    tracker.status(status(1, stamp=10**9))
    assert tracker.step("step", step(10**9, 1, 0)).status.header.stamp.sec == 1


@pytest.mark.parametrize("stamp", [0, 10**9], ids=["same stamps", "later stamps"])
@pytest.mark.parametrize("first", ["status", "step"])
def test_a_world_that_died_and_begins_again_has_a_status_of_its_own(stamp, first):
    """Its number and seed, and maybe its stamps, are those of the episode that never ended."""
    tracker = EpisodeTracker()
    tracker.status(status(1))
    for number in range(3):
        tracker.step("step", step(number * 33 * MS, 1, number))
    if first == "status":
        tracker.status(status(1, stamp=stamp))
    begun = tracker.step("step", step(stamp, 1, 0))
    if first == "step":
        assert begun.status is None
        tracker.status(status(1, stamp=stamp))
    assert begun.position == 1
    assert begun.status is not None
    assert tracker.status(status(1, 1, 9, stamp=stamp + MS)) is begun


def test_a_status_that_comes_after_one_of_the_episode_before_is_of_the_episode_that_steps_are_in():
    tracker = EpisodeTracker()
    begun = tracker.step("step", step(10**9, 2, 0))
    tracker.status(status(1))
    assert tracker.status(status(2, stamp=10**9)) is begun
