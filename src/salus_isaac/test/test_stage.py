# SPDX-License-Identifier: Apache-2.0
import mujoco
import numpy as np
import pytest

from salus_isaac.stage import arm_drives, describe_stage, read_placement, shapes_of


@pytest.fixture(params=["put_on", "put_in", "stack", "push"])
def placed(world, request):
    world.reset(5, "hard", "none", "", (request.param,))
    return world


def test_every_shape_outside_the_arm_is_mirrored(world):
    names = {shape.name for shape in shapes_of(world.model)}
    assert {"table", "goal", "goal_ring", "obstacle", "tray"} <= names
    assert set(world.scene.objects["names"]) <= names
    assert not any(name.startswith(("link", "finger", "palm")) for name in names)


def test_roles_say_what_moves_and_what_collides(world):
    shapes = {shape.name: shape for shape in shapes_of(world.model)}
    assert (shapes["table"].role, shapes["table"].collides) == ("fixed", True)
    assert (shapes["red_cube"].role, shapes["red_cube"].collides) == ("dynamic", True)
    assert (shapes["obstacle"].role, shapes["obstacle"].collides) == ("moved", True)
    assert (shapes["tray_wall_0"].role, shapes["tray_wall_0"].collides) == ("moved", True)
    assert (shapes["goal"].kind, shapes["goal"].collides) == ("cylinder", False)


def test_a_placement_says_where_the_scenario_put_everything(placed):
    scenario, states = placed.scenario, read_placement(placed).shapes
    for name, start in scenario.objects.items():
        state = states[name]
        assert state.present
        assert state.position == pytest.approx(start.position)
        assert state.size == pytest.approx(np.full(3, 2 * start.half_size))
        assert state.friction == pytest.approx(placed.scene.objects["friction"])
        assert state.mass == pytest.approx(
            placed.scene.objects["density"] * (2 * start.half_size) ** 3
        )
        turn = [np.cos(start.yaw / 2), 0, 0, np.sin(start.yaw / 2)]
        assert abs(np.dot(state.quaternion, turn)) == pytest.approx(1.0)
    for name in set(placed.scene.objects["names"]) - set(scenario.objects):
        assert not states[name].present
        assert states[name].position[2] < -1.0
    shown = {"put_in": "tray", "put_on": "goal", "push": "goal"}.get(scenario.task)
    for name in ("goal", "tray"):
        visible = states[name].position[2] > -1.0
        assert visible == (name == shown)
        if visible:
            assert states[name].position[:2] == pytest.approx(scenario.goal[:2])
    if scenario.obstacle is None:
        assert states["obstacle"].position[2] < -1.0
        return
    x, y, _, half_x, half_y, height = scenario.obstacle
    assert states["obstacle"].position == pytest.approx([x, y, height / 2])
    assert states["obstacle"].size == pytest.approx([2 * half_x, 2 * half_y, height])


def test_the_arm_starts_in_the_scenarios_pose_with_open_fingers(placed):
    placement = read_placement(placed)
    travel = placed.scene.arm["finger_travel"]
    assert placement.joints == pytest.approx([*placed.scenario.joints, travel, travel])


@pytest.mark.parametrize("name", ["front", "side"])
def test_cameras_look_at_their_target(world, name):
    world.reset(0, "easy", "none")
    view, numbers = read_placement(world).cameras[name], world.scene.cameras[name]
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, view.quaternion)
    looks = -matrix.reshape(3, 3)[:, 2]
    wanted = np.subtract(numbers["target"], numbers["position"])
    assert view.position == pytest.approx(numbers["position"])
    assert looks == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-6)
    assert view.fovy == numbers["fovy"]


def test_the_wrists_camera_is_given_in_the_hands_frame(world):
    world.reset(0, "easy", "none")
    view = read_placement(world).cameras["wrist"]
    assert view.position == pytest.approx(world.scene.cameras["wrist"]["position"])


def test_camera_jitter_reaches_the_placement(world):
    world.reset(1, "hard", "none")
    moved = read_placement(world).cameras["front"].position
    offset = world.scenario.camera_offsets["front"][:3]
    assert moved - world.scene.cameras["front"]["position"] == pytest.approx(offset)


def test_drives_are_the_scenes(scene):
    drives = arm_drives(scene)
    assert drives["stiffness"].tolist()[:7] == scene.arm["servo_gain"]
    assert drives["effort"].tolist()[7:] == [scene.arm["finger_force"]] * 2
    assert {len(values) for values in drives.values()} == {9}


def test_the_stage_has_the_interfaces_joints_and_images(world, interface):
    world.reset(0, "easy", "none")
    stage = describe_stage(world)
    assert stage.joint_names == interface.joint_names
    assert (stage.width, stage.height) == (interface.width, interface.height)
    assert stage.period == pytest.approx(1.0 / interface.rate)
