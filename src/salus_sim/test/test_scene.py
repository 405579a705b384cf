import pytest

from salus_sim.scene import SceneError, load_scene


def test_the_packaged_scene_lists_nine_joints_in_order(scene):
    names = [*scene.arm["joint_names"], *scene.arm["finger_names"]]
    assert names == [*(f"panda_joint{i}" for i in range(1, 8)),
                     "panda_finger_joint1", "panda_finger_joint2"]  # fmt: skip
    assert scene.control_period == pytest.approx(1 / 30)


def test_a_fault_is_a_profile_of_its_own(scene):
    assert scene.profile("object_slip") == {"object_slip": 1.0}
    assert scene.profile("none") == {}


@pytest.mark.parametrize(
    ("ask", "known"), [("profile", "mixed"), ("difficulty", "standard")]
)  # fmt: skip
def test_an_unknown_name_is_refused_with_the_known_ones(scene, ask, known):
    with pytest.raises(SceneError, match=known):
        getattr(scene, ask)("nonsense")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema: 2", "schema: 1"),
        ("schema: 1", "lacks the section"),
        ("{", "not valid YAML"),
    ],
)
def test_a_bad_file_is_named(tmp_path, text, message):
    path = tmp_path / "scene.yaml"
    path.write_text(text)
    with pytest.raises(SceneError, match=message) as error:
        load_scene(path)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SceneError, match=r"nothing\.yaml"):
        load_scene(tmp_path / "nothing.yaml")
