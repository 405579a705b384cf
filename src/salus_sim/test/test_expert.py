# SPDX-License-Identifier: Apache-2.0
"""The teacher must master what its students are judged by."""

import pytest

from salus_core.failures import FailureType
from salus_sim.experts import expert_for
from salus_sim.experts.geometry import sink
from salus_sim.referee import Referee

SLIPS = range(12)
TASKS = ("put_on", "put_in", "stack", "push")


def run(world, seed, difficulty, profile="none", tasks=()):
    truth = world.reset(seed, difficulty, profile, tasks=tasks)
    expert = expert_for(world.scene, world.scenario)
    referee = Referee.of(world.scene, world.scenario)
    verdict = referee.update(truth)
    while verdict is None:
        truth = world.step(expert.act(truth))
        verdict = referee.update(truth)
    return verdict


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("difficulty", ["easy", "standard"])
def test_the_expert_succeeds(world, difficulty, task):
    verdicts = [run(world, 500 + seed, difficulty, tasks=(task,)) for seed in range(4)]
    assert [v.failure for v in verdicts] == [FailureType.NONE] * 4


def test_the_way_down_asks_only_if_it_fits_and_is_faster_than_the_way_up():
    def up(aside):
        return sink(aside, fits=0.02, way=-0.05, clear=0.03, pace=0.01)

    assert {up(aside) for aside in (0.0, 0.01, 0.019)} == {-0.01}
    assert {up(aside) for aside in (0.021, 0.05)} == {0.004}
    assert sink(0.0, 0.02, way=-0.001, clear=0.03, pace=0.01) == pytest.approx(-0.00035)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("difficulty", "share"), [("easy", 0.97), ("standard", 0.97), ("hard", 0.9)]
)
def test_the_expert_succeeds_in_most_episodes(world, difficulty, share):
    verdicts = [run(world, 10_000 + seed, difficulty) for seed in range(200)]
    assert sum(v.failure == FailureType.NONE for v in verdicts) >= share * 200


def test_a_slip_makes_the_expert_drop_what_it_would_have_brought_to_the_goal(world):
    def drops(profile):
        verdicts = [run(world, seed, "standard", profile, ("put_on", "put_in")) for seed in SLIPS]
        return sum(v.failure == FailureType.DROP for v in verdicts)

    assert drops("none") == 0
    assert drops("object_slip") >= len(SLIPS) // 3
