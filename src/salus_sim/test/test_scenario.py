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


def test_a_share_of_wrist_cameras_was_knocked_out_of_place(scene):
    def offsets(difficulty):
        found = [sample_scenario(scene, s, difficulty).camera_offsets["wrist"] for s in range(300)]
        return np.abs(found).max(axis=1)

    ranges = scene.difficulty("standard")
    far = 3.5 * ranges["camera_jitter"]["wrist"][0]  # hardly ever, if it was not knocked
    assert 0.25 < (offsets("standard") > far).mean() < ranges["wrist_knock_probability"]
    assert (offsets("easy") == 0).all()
    assert (offsets("training") < far).mean() > 0.98
