# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest
from fake_isaac import FakeIsaac

from salus_isaac import world as isaac_world
from salus_isaac.graph import build_graph
from salus_isaac.world import IsaacWorld
from salus_sim.faults import ARM_FORCE, LIGHTING, OBJECT_FORCE, SENSOR_NOISE, FaultInjector
from salus_sim.world.mujoco_world import WorldError

pytestmark = pytest.mark.ros

NUMBERS = itertools.count()


def early(scene, kind):
    """The first seed whose fault of this kind begins soon."""
    return next(seed for seed in range(99) if FaultInjector(scene, seed, kind).begun(34))


@pytest.fixture
def open_world(ros, scene, interface):
    """Opens an IsaacWorld over a fake that was changed beforehand."""
    opened = []

    def start(**changes):
        fake = FakeIsaac(scene)
        for name, value in changes.items():
            setattr(fake, name, value)
        namespace = f"/isaac{next(NUMBERS)}"
        graph = build_graph(interface, namespace)
        world = IsaacWorld(scene, interface, fake, graph, namespace)
        opened.append(world)
        return world, fake

    yield start
    for world in opened:
        world.close()


def impatient(monkeypatch):
    monkeypatch.setattr(isaac_world, "_START_TICKS", 3)
    monkeypatch.setattr(isaac_world, "_START_TIMEOUT", 0.2)
    monkeypatch.setattr(isaac_world, "_FRAME_TIMEOUT", 0.5)


def test_the_same_actions_move_tool_and_joints_as_in_the_embedded_world(open_world, world):
    mirrored, _ = open_world()
    world.reset(7, "standard", "arm_force")
    mirrored.reset(7, "standard", "arm_force")
    assert mirrored.scenario.instruction == world.scenario.instruction
    rng = np.random.default_rng(0)
    for _ in range(40):
        action = np.append(rng.uniform(-1, 1, 6) * [0.012, 0.012, 0.01, 0.02, 0.02, 0.05], 1.0)
        expected, got = world.step(action), mirrored.step(action)
        assert got.tool_position == pytest.approx(expected.tool_position, abs=2e-3)
        assert got.joint_positions == pytest.approx(expected.joint_positions, abs=5e-3)
        assert [f.kind for f in got.faults] == [f.kind for f in expected.faults]
    assert got.step == 40


def test_a_reset_puts_everything_and_never_repeats_an_old_command(open_world):
    world, fake = open_world()
    world.reset(1, "easy", "none")
    world.step(np.array([0.01, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0]))
    placed, commanded = len(fake.placed), len(fake.commands)
    truth = world.reset(2, "easy", "none")
    assert len(fake.placed) == placed + 1
    start = fake.placed[-1].joints
    assert fake.commands[commanded].tolist() == start.tolist()
    assert truth.step == 0
    assert truth.joint_positions == pytest.approx(start, abs=5e-3)
    assert set(truth.object_poses) == set(world.scenario.objects)


def test_time_goes_on_over_resets_and_steps_are_one_period_apart(open_world, scene):
    world, _ = open_world()
    stamps = []
    for seed in (1, 2):
        world.reset(seed, "easy", "none")
        for _ in range(2):
            stamps.append(world.stamp.sec + world.stamp.nanosec / 1e9)
            world.step(None)
    assert stamps == sorted(stamps)
    assert stamps[1] - stamps[0] == pytest.approx(scene.control_period, abs=1e-6)


@pytest.mark.parametrize("kind", [ARM_FORCE, OBJECT_FORCE, LIGHTING])
def test_a_fault_acts_in_just_its_steps(open_world, scene, kind):
    world, fake = open_world()
    seed = early(scene, kind)
    world.reset(seed, "easy", kind)
    planned = FaultInjector(scene, seed, kind)
    for step in range(1, 50):
        world.step(None)
        fault = planned.active(kind, step)
        size = fault.magnitude if fault else 0.0
        if kind == LIGHTING:
            assert fake.effects.light == pytest.approx(world.scenario.light * (size or 1.0))
        else:
            force = fake.effects.arm_force if kind == ARM_FORCE else fake.effects.object_force
            assert np.linalg.norm(force) == pytest.approx(size)


def test_noise_spoils_images_in_just_its_steps(open_world, scene):
    world, _ = open_world()
    seed = early(scene, SENSOR_NOISE)
    world.reset(seed, "easy", SENSOR_NOISE)
    planned = FaultInjector(scene, seed, SENSOR_NOISE)
    noisy = []
    for step in range(1, 50):
        world.step(None)
        image = world.render("front")
        assert image.shape == (256, 256, 3)
        noisy.append(bool(image.std() > 1.0))
        assert noisy[-1] == (planned.active(SENSOR_NOISE, step) is not None)
    assert any(noisy)


def test_every_step_shows_the_image_of_its_own_tick(open_world):
    world, fake = open_world()
    world.reset(1, "easy", "none")
    for _ in range(5):
        world.step(None)
        shown = {int(world.render(camera)[0, 0, 0]) for camera in world.cameras}
        assert shown == {fake.ticks % 251}


def test_joints_in_another_order_are_sorted_by_name(open_world):
    world, fake = open_world(joint_order=list(range(8, -1, -1)))
    truth = world.reset(1, "easy", "none")
    assert truth.joint_positions == pytest.approx(fake.placed[-1].joints, abs=5e-3)


def test_a_contact_with_anything_but_the_target_is_told(open_world):
    world, _ = open_world()
    world.reset(1, "easy", "none")
    world._readings.contacts = {
        ("panda_hand", world.scenario.target): 50.0,
        ("panda_link7", "table"): 4.0,
        ("panda_hand", "obstacle"): 9.0,
    }
    assert world._contact() == (9.0, "obstacle")


def test_what_is_held_is_part_of_the_arm_where_it_meets_the_obstacle(open_world):
    world, _ = open_world()
    world.reset(1, "easy", "none")
    target = world.scenario.target
    world._readings.contacts = {(target, "obstacle"): 30.0, (target, "table"): 40.0}
    assert world._contact() == (0.0, "")
    world._holding = True
    assert world._contact() == (30.0, "obstacle")


def test_an_object_between_both_fingers_is_grasped(open_world):
    world, _ = open_world()
    world.reset(1, "easy", "none")
    target = world.scenario.target
    world._readings.contacts = {("panda_leftfinger", target): 3.0}
    assert world._grasped() == ""
    world._readings.contacts[("panda_rightfinger", target)] = 3.0
    assert world._grasped() == target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"silent": {"isaac/wrist/image_raw"}}, r"wrist/image_raw \(none\)"),
        ({"silent": {"isaac/clock"}}, "no new message"),
        ({"late_images": True}, r"front/image_raw \(newest \+0.0333 s behind\)"),
        ({"period_error": 0.5}, "tick lasts 0.01667 s instead of 0.03333 s"),
        ({"focal_error": 1.2}, "camera front: Isaac Sim says 256x256"),
    ],
)
def test_a_simulator_that_does_not_fit_is_refused_with_the_reason(
    open_world, monkeypatch, changes, message
):
    impatient(monkeypatch)
    with pytest.raises(WorldError, match=message):
        open_world(**changes)


def test_images_that_stop_end_the_step_with_their_topic(open_world, monkeypatch):
    world, fake = open_world()
    world.reset(1, "easy", "none")
    impatient(monkeypatch)
    fake.silent = {"isaac/side/image_raw"}
    with pytest.raises(WorldError, match=r"step 1: .*side/image_raw"):
        world.step(None)


def test_an_object_that_does_not_rest_where_it_was_put_is_refused(open_world):
    world, fake = open_world()
    fake.object_offset = np.array([0.02, 0.0, 0.0])
    with pytest.raises(WorldError, match="mm off its place after settling"):
        world.reset(1, "easy", "none")
