# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
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
        ("schema: 1", "schema: 2"),
        ("schema: 2", "lacks the section"),
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


def test_the_documented_difficulties_are_the_scenes(scene):
    document = (Path(__file__).parents[3] / "docs/world.md").read_text()
    for name, ranges in scene.difficulties.items():
        assert _row(name, ranges) in document.splitlines(), f"docs/world.md: row of '{name}'"
    turned = {name: ranges["yaw"][1] for name, ranges in scene.difficulties.items()}
    said = ", ".join(f"{angle:g} on '{name}'" for name, angle in turned.items())
    assert f"Cubes are turned by up to (in rad) {said}." in " ".join(document.split())


def _row(name: str, ranges: dict) -> str:
    """Of the table of difficulties."""

    def span(key: str, factor: float = 1.0) -> str:
        return " to ".join(f"{factor * number:g}" for number in ranges[key])

    def chance(key: str) -> str:
        share = ranges[key]
        return "none" if share == 0 else "always" if share == 1 else f"in {100 * share:g} %"

    wall, oily = chance("obstacle_probability"), chance("slippery_probability")
    jitter = {name: 1000 * sizes[0] for name, sizes in ranges["camera_jitter"].items()}
    offsets = f"{jitter['front']:g} mm, {jitter['front']:g} mrad" if jitter["front"] else "none"
    if jitter["wrist"] != jitter["front"]:
        offsets += f"; wrist camera {jitter['wrist']:g} mm, {jitter['wrist']:g} mrad"
    if ranges["wrist_bent_probability"]:
        turn = np.linalg.norm(ranges["wrist_bend"])
        offsets += f"; in {100 * ranges['wrist_bent_probability']:g} % bent by {turn:.2f} rad"
    walls = f"{wall}, {span('obstacle_height', 100)} cm"
    if ranges["tall_obstacle_probability"]:
        often = f"{100 * ranges['tall_obstacle_probability']:g} %"
        walls += f"; {often} of them {span('tall_obstacle_height', 100)} cm"
    cells = (
        name,
        span("distractors") if ranges["distractors"][1] else "none",
        wall if wall == "none" else walls,
        f"{span('object_half_size', 1000)} mm",
        oily,
        "" if oily == "none" else f"{span('slippery_creep', 1000)} mm/s",
        span("light"),
        offsets,
    )
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")
