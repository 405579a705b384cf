# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest
from builtin_interfaces.msg import Time
from salus_msgs.msg import Step
from std_msgs.msg import Header

from salus_ros.stepsync import StepSync, nanoseconds

KEYS = ("front", "joints")


def step(number, episode=1):
    return Step(header=Header(stamp=Time(sec=number + 1)), episode=episode, step=number)


class Stamped:
    def __init__(self, number):
        self.header = Header(stamp=Time(sec=number + 1))


@pytest.fixture
def gathered():
    return []


@pytest.fixture
def lost():
    return []


@pytest.fixture
def sync(gathered, lost):
    return StepSync(
        KEYS, gathered.append, lambda observation, missing: lost.append(missing), capacity=3
    )


def feed(sync, key, number):
    if key == "step":
        sync.add_step(step(number))
    else:
        sync.add(key, Stamped(number))


@pytest.mark.parametrize("order", list(itertools.permutations(("step", *KEYS))))
def test_an_observation_is_complete_whatever_the_order_of_arrival(sync, gathered, order):
    for key in order:
        assert not gathered
        feed(sync, key, 4)
    (observation,) = gathered
    assert observation.step.step == 4
    assert set(observation.messages) == set(KEYS)
    assert sync.completed == 1


def test_messages_of_two_steps_do_not_mix(sync, gathered):
    for key, number in itertools.product(("step", *KEYS), (0, 1)):
        feed(sync, key, number)
    assert [observation.step.step for observation in gathered] == [0, 1]
    for observation in gathered:
        stamps = {nanoseconds(message.header.stamp) for message in observation.messages.values()}
        assert stamps == {nanoseconds(observation.stamp)}


def test_duplicates_are_ignored_before_and_after_completion(sync, gathered):
    for key in ("step", "step", "front", "front", "joints", "joints", "step"):
        feed(sync, key, 0)
    assert len(gathered) == 1
    assert sync.duplicates == 4


def test_memory_is_bounded_and_the_oldest_incomplete_is_given_up_and_named(sync, gathered, lost):
    for number in range(5):
        feed(sync, "step", number)
        feed(sync, "front", number)
    assert sync.incomplete == 2
    assert lost == [["joints"], ["joints"]]
    feed(sync, "joints", 0)  # too late
    assert not gathered
    feed(sync, "joints", 4)
    assert [observation.step.step for observation in gathered] == [4]


def test_a_missing_step_message_is_named(sync, lost):
    for number in range(4):
        feed(sync, "joints", number)
    assert lost == [["step", "front"]]


def test_clearing_forgets_without_counting(sync, gathered):
    feed(sync, "step", 0)
    sync.clear()
    for key in KEYS:
        feed(sync, key, 0)
    assert not gathered
    assert sync.incomplete == 0


def test_an_unknown_key_is_a_mistake_of_the_author(sync):
    with pytest.raises(KeyError, match="side"):
        sync.add("side", Stamped(0))
