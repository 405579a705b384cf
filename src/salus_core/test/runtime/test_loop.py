# SPDX-License-Identifier: Apache-2.0
"""The episode loop: any number of environments, and what happens when something goes wrong."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from salus_core.actions import TOOL_MOTION
from salus_core.episode_store import EpisodeStart
from salus_core.failures import Outcome
from salus_core.runtime import (
    EpisodeResult,
    EpisodeStoppedError,
    Lane,
    Observation,
    PolicyOutput,
    SeedRefusedError,
    run_episode,
    run_episodes,
)
from salus_core.runtime.loop import HeldWithoutCommandError
from salus_core.runtime.supervising import LimitSupervisor
from salus_core.supervision import Decision

SIZE = 7


class Countdown:
    """An environment whose tool moves as it is told; seed s lasts s steps, odd seeds fail."""

    truth = None

    def __init__(self, refused=(), broken_at=None):
        self._refused, self._broken_at = refused, broken_at

    def reset(self, seed):
        if seed in self._refused:
            raise SeedRefusedError(f"seed {seed} is refused")
        self._seed, self._step, self._place = seed, 0, np.full(3, float(seed))
        return self._observe()

    def step(self, action):
        if self._step == self._broken_at:
            raise OSError("the robot is gone")
        self._step += 1
        self._place = self._place + action[:3]
        return self._observe()

    def _observe(self):
        return Observation(
            images={},
            joint_positions=None,
            joint_velocities=None,
            tool_position=self._place,
            tool_quaternion=None,
            gripper_width=None,
            instruction="",
            step=self._step,
        )

    @property
    def start(self):
        return EpisodeStart(number=1, seed=self._seed)

    @property
    def result(self):
        if self._step < self._seed:
            return None
        failed = self._seed % 2 == 1
        return EpisodeResult(
            self._seed,
            Outcome.FAILED if failed else Outcome.SUCCEEDED,
            "drop" if failed else "",
            onset_step=self._step,
            steps=self._step,
        )


class Leaning:
    """A policy with a state per lane: it moves further from step to step."""

    def __init__(self):
        self._steps, self.together = {}, []

    def reset(self, lane):
        self._steps[lane] = 0

    def act(self, observations):
        self.together.append(len(observations))
        outputs = {}
        for lane, seen in observations.items():
            self._steps[lane] += 1
            action = np.zeros(SIZE)
            action[0] = 1e-3 * self._steps[lane] + 1e-4 * np.sin(seen.tool_position[0])
            outputs[lane] = PolicyOutput(action)
        return outputs


@dataclass
class Kept:
    """A sink that keeps all it gets."""

    episodes: list = field(default_factory=list)
    ends: list = field(default_factory=list)
    discarded: list = field(default_factory=list)

    def begin(self, start):
        self.episodes.append((start.seed, []))

    def step(self, record):
        self.episodes[-1][1].append((record.step, record.command, record.observation))

    def end(self, result):
        self.ends.append(result)

    def discard(self, reason):
        self.discarded.append(reason)


def collected(environments, seeds):
    kept, policy = [Kept() for _ in range(environments)], Leaning()
    lanes = [Lane(Countdown(), LimitSupervisor(TOOL_MOTION), [sink]) for sink in kept]
    results = list(run_episodes(lanes, policy, seeds))
    episodes = {seed: steps for sink in kept for seed, steps in sink.episodes}
    return results, episodes, policy


def test_episodes_are_the_same_beside_others_and_alone():
    seeds = [5, 2, 9, 4, 7, 1, 3]
    alone, one, _ = collected(1, seeds)
    beside, other, policy = collected(3, seeds)
    assert [result.seed for result in alone] == seeds
    assert sorted(alone, key=lambda r: r.seed) == sorted(beside, key=lambda r: r.seed)
    assert max(policy.together) == 3
    for seed in seeds:
        assert len(one[seed]) == len(other[seed]) == seed
        for (step, command, seen), (again, commanded, seen_again) in zip(
            one[seed], other[seed], strict=True
        ):
            assert step == again
            np.testing.assert_array_equal(command, commanded)
            np.testing.assert_array_equal(seen.tool_position, seen_again.tool_position)


def test_a_lane_takes_the_next_seed_as_soon_as_it_is_free():
    _, _, policy = collected(2, [8, 2, 2, 2])
    assert policy.together == [2] * 6 + [1] * 2


def test_a_refused_seed_is_reported_and_the_next_one_runs():
    kept = Kept()
    lane = Lane(Countdown(refused=(3,)), sinks=[kept])
    results = list(run_episodes([lane], Leaning(), [3, 2]))
    assert [(result.seed, result.refused) for result in results] == [
        (3, "seed 3 is refused"),
        (2, ""),
    ]
    assert [seed for seed, _ in kept.episodes] == [2]
    assert kept.discarded == []


def test_an_error_discards_the_episodes_of_all_lanes():
    kept = [Kept(), Kept()]
    lanes = [
        Lane(Countdown(broken_at=2), sinks=[kept[0]]),
        Lane(Countdown(), sinks=[kept[1]]),
    ]
    with pytest.raises(OSError, match="the robot is gone"):
        list(run_episodes(lanes, Leaning(), [5, 6]))
    assert [len(sink.discarded) for sink in kept] == [1, 1]
    assert [sink.ends for sink in kept] == [[], []]


def test_who_closes_the_loop_or_stops_it_leaves_nothing_open():
    kept = Kept()
    lanes = [Lane(Countdown(), sinks=[kept]), Lane(Countdown(), sinks=[kept])]
    episodes = run_episodes(lanes, Leaning(), [2, 50])
    assert next(episodes).seed == 2
    episodes.close()
    assert len(kept.discarded) == 1
    asked = iter([False, False, True])
    with pytest.raises(EpisodeStoppedError):
        run_episode(Countdown(), Leaning(), 9, sinks=[kept], stopped=lambda: next(asked))
    assert len(kept.discarded) == 2


def test_the_supervisor_decides_what_is_executed():
    class Still:
        def reset(self):
            pass

        def decide(self, observation, monitored):
            return Decision((0.0,) * SIZE, "too risky")

    kept = Kept()
    run_episode(Countdown(), Leaning(), 4, supervisor=Still(), sinks=[kept])
    ((_, steps),) = kept.episodes
    assert all(not command.any() for _, command, _ in steps)
    assert steps[-1][2].tool_position[0] == 4.0


def test_a_robot_that_nothing_holds_ends_the_loop_and_says_so():
    class Silent:
        def reset(self):
            pass

        def decide(self, observation, monitored):
            return Decision((), "no target is known")

    with pytest.raises(HeldWithoutCommandError, match=r"step 0: .*no target is known"):
        run_episode(Countdown(), Leaning(), 4, supervisor=Silent())


def test_the_result_of_one_episode_says_how_it_ended():
    result = run_episode(Countdown(), Leaning(), 3)
    assert (result.name, result.steps, result.outcome) == ("drop", 3, Outcome.FAILED)
    assert run_episode(Countdown(), Leaning(), 2).name == "success"
