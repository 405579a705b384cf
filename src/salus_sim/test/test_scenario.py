# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from salus_sim.scenario import GOAL_CLEARANCE, OBJECT_CLEARANCE, sample_scenario
from salus_sim.scene import SceneError


@pytest.mark.parametrize("difficulty", ["easy", "standard", "hard"])
def test_objects_leave_room_for_the_hand(scene, difficulty):
    for seed in range(100):
        scenario = sample_scenario(scene, seed, difficulty)
        places = [start.position[:2] for start in scenario.objects.values()]
        for i, place in enumerate(places):
            for other in places[:i]:
                assert np.linalg.norm(place - other) > OBJECT_CLEARANCE
        target = scenario.objects[scenario.target].position[:2]
        if scenario.task != "push":
            assert np.linalg.norm(target - scenario.goal[:2]) >= GOAL_CLEARANCE


def test_the_same_seed_gives_the_same_scenario(scene):
    first, second = (sample_scenario(scene, 7, "standard") for _ in range(2))
    other = sample_scenario(scene, 8, "standard")
    assert np.array_equal(first.joints, second.joints)
    assert np.array_equal(first.goal, second.goal)
    assert first.instruction == second.instruction
    assert not np.array_equal(first.joints, other.joints)


def test_the_instruction_names_the_targets_colour(scene):
    for seed in range(30):
        scenario = sample_scenario(scene, seed, "standard")
        assert scenario.target.split("_")[0] in scenario.instruction


def test_an_instruction_from_outside_picks_the_target(scene):
    scenario = sample_scenario(scene, 0, "standard", "please lift the Yellow cube, onto the goal")
    assert scenario.target == "yellow_cube"
    assert "yellow_cube" in scenario.objects


def test_an_instruction_without_a_known_colour_is_refused(scene):
    with pytest.raises(SceneError, match=r"purple.*red, green"):
        sample_scenario(scene, 0, "standard", "pick the purple cube")


def test_easy_has_neither_clutter_nor_obstacle_and_hard_has_both(scene):
    for seed in range(20):
        easy, hard = (
            sample_scenario(scene, seed, name, tasks=("put_on",)) for name in ("easy", "hard")
        )
        assert len(easy.objects) == 1
        assert easy.obstacle is None
        assert len(hard.objects) > 1
        assert hard.obstacle is not None


def test_the_mount_of_a_share_of_wrist_cameras_is_bent(scene):
    def offsets(difficulty):
        found = [sample_scenario(scene, s, difficulty).camera_offsets["wrist"] for s in range(300)]
        return np.abs(found).max(axis=1)

    ranges = scene.difficulty("standard")
    far = 3.5 * ranges["camera_jitter"]["wrist"][0]  # hardly ever, if it is not bent
    assert (offsets("standard") > far).mean() == pytest.approx(
        ranges["wrist_bent_probability"], abs=0.06
    )
    assert (offsets("easy") == 0).all()
    assert (offsets("training") < far).mean() > 0.98


def test_walls_are_of_the_usual_height_or_tall_and_nothing_between(scene):
    ranges = scene.difficulty("standard")
    found = [sample_scenario(scene, s, "standard", tasks=("put_on",)).obstacle for s in range(300)]
    heights = np.array([wall[5] for wall in found if wall is not None])
    (low, usual), (tall, high) = ranges["obstacle_height"], ranges["tall_obstacle_height"]
    is_tall = heights > usual
    assert ((low <= heights) & (heights < high)).all()
    assert (heights[is_tall] >= tall).all()
    assert is_tall.mean() == pytest.approx(ranges["tall_obstacle_probability"], abs=0.06)


def test_what_is_pushed_or_stacked_is_never_oily(scene):
    def oily(*tasks):
        scenarios = [sample_scenario(scene, s, "standard", tasks=tasks) for s in range(100)]
        return sum(each.objects[each.target].slippery for each in scenarios)

    assert oily("push", "stack") == 0
    assert oily("put_on", "put_in") > 10
