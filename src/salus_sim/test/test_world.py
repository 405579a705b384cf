# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from salus_sim.experts import expert_for
from salus_sim.scene import SceneError
from salus_sim.slip import film_friction, pad_overlap
from salus_sim.world.mujoco_world import MujocoWorld

HOLD = np.array([0, 0, 0, 0, 0, 0, 1.0])


def driven(world, seed, profile="none", steps=110):
    """States under the expert, who lifts the target, and the kinds of faults that have begun."""
    truth = world.reset(seed, "standard", profile, tasks=("put_on",))
    expert = expert_for(world.scene, world.scenario)
    rows = []
    for _ in range(steps):
        poses = np.concatenate(list(truth.object_poses.values()))
        joints = (truth.joint_positions, truth.joint_velocities)
        rows.append(np.concatenate([*joints, truth.tool_position, poses]))
        truth = world.step(expert.act(truth))
    return np.array(rows), {fault.kind for fault in truth.faults}


def test_the_same_seed_and_actions_give_the_same_states_to_the_last_bit(world):
    first, faults = driven(world, 46, "heavy")
    assert faults == {"arm_force", "object_slip"}
    quiet, _ = driven(world, 46)
    assert not np.array_equal(quiet, first)
    again, _ = driven(world, 46, "heavy")
    assert np.array_equal(again, first)


def test_a_fresh_world_gives_the_same_states_as_a_used_one(scene, world):
    _, faults = driven(world, 11, "object_slip")
    assert faults == {"object_slip"}
    used, _ = driven(world, 12)
    fresh, _ = driven(MujocoWorld(scene), 12)
    assert np.array_equal(fresh, used)


def test_images_repeat_with_the_seed(world):
    def image():
        world.reset(3, "standard", "sensor_noise")
        for _ in range(61):  # the latest onset of the noise
            world.step(HOLD)
        return world.render("front").copy()

    first = image()
    assert first.shape == (256, 256, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(image(), first)


@pytest.mark.parametrize("difficulty", ["easy", "standard", "hard"])
def test_nothing_touches_the_arm_at_the_start(world, difficulty):
    for seed in range(100):
        world.reset(seed, difficulty, "none")  # raises if it does
        assert world.step(None).contact_force == 0.0


def test_the_tool_follows_its_command(world):
    start = world.reset(1, "easy", "none").tool_position
    for _ in range(20):
        truth = world.step(np.array([0.005, 0.005, -0.005, 0, 0, 0, 1.0]))
    for _ in range(10):
        truth = world.step(HOLD)
    assert truth.tool_position - start == pytest.approx([0.1, 0.1, -0.1], abs=2e-3)


def test_a_rotation_turns_the_tool(world):
    world.reset(1, "easy", "none")
    before = world.controller.rotation.copy()
    for _ in range(5):
        world.step(np.array([0, 0, 0, 0, 0, 0.1, 1.0]))
    turned = world.controller.rotation @ before.T
    assert np.arctan2(turned[1, 0], turned[0, 0]) == pytest.approx(0.5, abs=1e-6)


def test_steps_longer_than_the_scale_are_shortened(world):
    world.reset(1, "easy", "none")
    before = world.controller.position.copy()
    world.step(np.array([1.0, 0, 0, 0, 0, 0, 1.0]))
    scale = world.scene.control["action_scale"][0]
    assert world.controller.position[0] - before[0] == pytest.approx(scale)


def test_pressing_on_the_obstacle_is_felt_as_contact_with_it(world):
    truth = world.reset(1, "hard", "none")
    aim = world.scenario.obstacle[:2]
    for _ in range(40):
        way = np.clip(0.3 * (aim - truth.tool_position[:2]), -0.014, 0.014)
        truth = world.step(np.array([*way, 0, 0, 0, 0, 0.0]))
    assert truth.contact_force == 0.0
    body, force = "", 0.0
    for _ in range(40):
        truth = world.step(np.array([0, 0, -0.01, 0, 0, 0, 0.0]))
        if truth.contact_force > force:
            body, force = truth.contact_body, truth.contact_force
    assert body == "obstacle"
    assert force > world.scene.referee["collision_force"]


def test_what_the_arm_holds_is_part_of_it_where_it_meets_the_obstacle(world):
    truth = world.reset(1, "hard", "none")
    target = world.scenario.target
    x, y, yaw, half_x, _, height = world.scenario.obstacle
    along = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    # The pads end above the obstacle's top, the cube below it.
    start = np.array([x, y, height + 0.011]) - (half_x + 0.06) * along
    truth = world.move_to(start, 0.0, 0.0, held_at=(0.0, -0.004))
    force = 0.0
    for _ in range(15):
        held = truth.grasped_object == target
        truth = world.step(np.array([*(0.012 * along), 0, 0, 0, 0.0]))
        if truth.contact_force > force:
            assert held
            assert truth.contact_body == "obstacle"
            force = truth.contact_force
    assert force > 5.0


def test_the_wrist_camera_sees_what_is_close_before_it(world):
    truth = world.reset(1, "easy", "none", tasks=("put_on",))
    target = world.scenario.target
    truth = world.move_to(np.array([0.5, 0.0, 0.3]), 0.0, 0.0, held_at=(0.02, 0.03))
    centre, half = truth.object_poses[target][:3], world.object_half_size(target)
    towards = world.data.camera("wrist").xpos - centre
    assert np.linalg.norm(towards) - half < 0.08
    across = world.data.site("tool").xmat.reshape(3, 3)[:, 0]
    face = centre + half * across * np.sign(towards @ across)
    places = face + np.outer([-0.6, -0.3, 0.0, 0.6], [0.0, 0.0, half])
    image = world.render("wrist") / 255.0
    colour = world.model.geom(target).rgba[:3]
    for column, row in ((world.project("wrist", places) + 1) * 128).astype(int):
        pixel = image[row, column]
        assert np.ptp(pixel) > 0.2, pixel  # the table is grey
        assert np.corrcoef(pixel, colour)[0, 1] > 0.9, pixel


def lifted(world, seed, profile="none", tasks=("put_on",)):
    """The observations of an episode while the expert holds the target in the air."""
    truth = world.reset(seed, "standard", profile, tasks=tasks)
    expert = expert_for(world.scene, world.scenario, fast_transport=False)
    target = world.scenario.target
    rest, held = truth.object_poses[target][2], []
    for _ in range(100):
        truth = world.step(expert.act(truth))
        if truth.grasped_object == target and truth.object_poses[target][2] > rest + 0.05:
            held.append(truth)
    return held


def sinking(world, held):
    """How fast the target sinks between the fingers [m/s]."""
    target = world.scenario.target
    depth = [t.tool_position[2] - t.object_poses[target][2] for t in held]
    return (depth[-1] - depth[0]) / (len(depth) - 1) / world.scene.control_period


def test_an_oily_cube_sinks_between_the_fingers_and_a_dry_one_does_not(world):
    speeds = {True: [], False: []}
    for seed in range(12):
        held = lifted(world, seed)
        start = world.scenario.objects[world.scenario.target]
        speeds[start.slippery].append(sinking(world, held) - start.creep)
    assert speeds[True]
    assert np.abs(speeds[False]).max() < 4e-3
    assert -8e-3 < np.mean(speeds[True]) < 8e-3


def test_oil_gives_way_sooner_where_less_of_the_pads_lies_on_the_cube():
    whole = pad_overlap(0.0, 0.004, 0.02)
    assert whole == pytest.approx(1.0)
    assert pad_overlap(0.020, 0.004, 0.02) == pytest.approx(0.5)
    assert pad_overlap(0.0, -0.016, 0.02) == pytest.approx(0.5)
    sinking = [film_friction(0.08, 0.01 / share, 0.02, 12.0, 200.0, 0.6) for share in (1.0, 0.5)]
    assert sinking[1] < sinking[0]


def test_a_slip_lets_the_target_sink_for_several_steps_before_it_is_lost(world):
    held = lifted(world, 11, "object_slip")
    (slip,) = held[-1].faults
    assert held[-1].step - slip.onset_step >= 6
    target = world.scenario.target
    depth = [t.tool_position[2] - t.object_poses[target][2] for t in held]
    assert depth[-1] - depth[0] > 0.015


def test_the_fingers_take_their_time(world):
    world.reset(1, "easy", "none")
    close = np.array([0, 0, 0, 0, 0, 0, 0.0])
    widths = [world.step(close).gripper_width for _ in range(30)]
    speed = world.scene.arm["finger_speed"]
    assert widths[9] - widths[14] == pytest.approx(2 * speed * 5 / 30, rel=0.05)
    assert widths[-1] < 1e-3


def test_a_push_moves_the_arm_from_its_onset_on(world):
    quiet, pushed = (world_path(world, profile) for profile in ("none", "arm_force"))
    onset = pushed["onset"]
    assert np.array_equal(quiet["q"][:onset], pushed["q"][:onset])
    assert not np.array_equal(quiet["q"][onset], pushed["q"][onset])


def world_path(world, profile):
    truth = world.reset(21, "easy", profile)
    rows, onset = [truth.joint_positions], None
    for _ in range(90):
        truth = world.step(HOLD)
        rows.append(truth.joint_positions)
        if truth.faults and onset is None:
            onset = truth.faults[0].onset_step
            assert onset == truth.step
    return {"q": np.array(rows), "onset": onset}


def test_a_refused_reset_names_the_difficulty(world):
    with pytest.raises(SceneError, match="impossible"):
        world.reset(0, "impossible", "none")
