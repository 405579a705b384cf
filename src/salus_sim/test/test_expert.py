"""The teacher must master what its students are judged by."""

import pytest

from salus_core.failures import FailureType
from salus_sim.expert import Expert
from salus_sim.referee import Referee


def run(world, seed, difficulty, profile="none"):
    scene = world.scene
    truth = world.reset(seed, difficulty, profile)
    scenario = world.scenario
    expert = Expert(scene, scenario)
    referee = Referee(
        scene, scenario.target, scenario.goal, scene.goal["radius"], scene.control["max_steps"]
    )
    verdict = referee.update(truth)
    while verdict is None:
        truth = world.step(expert.act(truth))
        verdict = referee.update(truth)
    return verdict


@pytest.mark.parametrize(
    "difficulty", ["easy", "standard", "hard"]
)  # fmt: skip
def test_the_expert_succeeds(world, difficulty):
    verdicts = [run(world, 500 + seed, difficulty) for seed in range(6)]
    assert sum(v.failure == FailureType.NONE for v in verdicts) == 6


@pytest.mark.slow
@pytest.mark.parametrize("difficulty", ["easy", "standard", "hard"])
def test_the_expert_succeeds_in_97_of_100_episodes(world, difficulty):
    verdicts = [run(world, 10_000 + seed, difficulty) for seed in range(200)]
    assert sum(v.failure == FailureType.NONE for v in verdicts) >= 194


def test_a_slip_makes_the_expert_drop(world):
    verdicts = [run(world, seed, "standard", "object_slip") for seed in range(6)]
    assert sum(v.failure == FailureType.DROP for v in verdicts) >= 4
