# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from salus_sim.scenario import sample_scenario
from salus_sim.scene import SceneError
from salus_sim.tasks import Request, parse_instruction


@pytest.mark.parametrize(
    ("sentence", "request_"),
    [
        ("put the red cube on the white disc", Request("put_on", "red_cube")),
        ("Please lay the GREEN cube in the tray!", Request("put_in", "green_cube")),
        ("stack the red cube on the blue cube", Request("stack", "red_cube", "blue_cube")),
        ("put the blue block on top of the red one", Request("stack", "blue_cube", "red_cube")),
        ("push the yellow block aside", Request("push", "yellow_cube")),
    ],
)
def test_a_sentence_names_its_task_and_objects(scene, sentence, request_):
    assert parse_instruction(scene, sentence) == request_


@pytest.mark.parametrize("wording", ["seen", "unseen"])
def test_every_instruction_of_a_scenario_means_the_scenario(scene, wording):
    for seed in range(60):
        scenario = sample_scenario(scene, seed, "standard", wording=wording)
        meant = parse_instruction(scene, scenario.instruction)
        assert meant == Request(scenario.task, scenario.target, scenario.base)


def test_unseen_wordings_combine_words_that_training_has_seen_apart(scene):
    seen, unseen = (
        {sample_scenario(scene, seed, "easy", wording=kind).instruction for seed in range(1500)}
        for kind in ("seen", "unseen")
    )
    assert not seen & unseen
    assert len(unseen) >= 16
    assert {w for s in unseen for w in s.split()} <= {w for s in seen for w in s.split()}


def test_tasks_can_be_chosen_and_a_stacked_cube_has_a_base(scene):
    for seed in range(20):
        scenario = sample_scenario(scene, seed, "standard", tasks=("stack",))
        assert scenario.task == "stack"
        base = scenario.objects[scenario.base]
        assert np.allclose(scenario.goal, [*base.position[:2], 2 * base.half_size])
    tasks = {sample_scenario(scene, seed, "standard").task for seed in range(60)}
    assert tasks == set(scene.tasks)


def test_an_instruction_from_outside_sets_the_task(scene):
    scenario = sample_scenario(scene, 3, "standard", "stack the blue cube on the green cube")
    assert (scenario.task, scenario.target, scenario.base) == ("stack", "blue_cube", "green_cube")


def test_only_targets_that_are_grasped_are_slippery_and_cubes_that_are_pushed_fit_between_fingers(
    scene,
):
    slippery = set()
    for seed in range(200):
        scenario = sample_scenario(scene, seed, "standard")
        found = {name for name, start in scenario.objects.items() if start.slippery}
        assert found <= {scenario.target}
        if scenario.task == "push":
            largest = scene.tasks["push"]["largest_half_size"]
            assert scenario.objects[scenario.target].half_size <= largest
            assert not found
        slippery |= found
    assert slippery == set(scene.objects["names"])


def test_a_push_goes_aside(scene):
    for seed in range(100):
        scenario = sample_scenario(scene, seed, "standard", tasks=("push",))
        way = scenario.goal[:2] - scenario.objects[scenario.target].position[:2]
        assert abs(np.arctan2(way[0], abs(way[1]))) <= scene.tasks["push"]["aside"]


@pytest.mark.parametrize(
    ("arguments", "named"), [({"tasks": ("fly",)}, "put_on"), ({"wording": "odd"}, "unseen")]
)
def test_unknown_tasks_and_wordings_are_refused(scene, arguments, named):
    with pytest.raises(SceneError, match=named):
        sample_scenario(scene, 0, "standard", **arguments)
