# SPDX-License-Identifier: Apache-2.0
"""Action spaces: what a policy's numbers become, and what is refused."""

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation
from test_kinematics import ARM, LOWER, PANDA, UPPER

from salus_policies.action_adapter import ActionAdapter
from salus_policies.action_space import ActionSpace
from salus_policies.backends.base import BackendError, Observation, PolicyOutputError
from salus_policies.kinematics import Chain, rotation_matrix
from salus_policies.options import Options
from salus_policies.policy_config import find_config, read_config
from salus_policies.robot import RobotDescription

ROBOT = RobotDescription(ARM, LOWER, UPPER, PANDA)
REST = np.array([0.0, -0.3, 0.0, -2.2, 0.0, 1.9, 0.785])
SCALE = {"translation": 0.01, "rotation": 0.1}
TOOL = {
    "space": "tool_delta",
    "frame": "base",
    "rotation": "rotation_vector",
    "gripper": {"closed": 0, "open": 1},
    "scale": SCALE,
}
JOINTS = {
    "space": "joint_position",
    "joints": list(ARM),
    "joint_unit": "rad",
    "gripper": {"closed": 0.0, "open": 0.08},
    "scale": SCALE,
}


def space(base, **changes):
    values = {k: v for k, v in {**base, **changes}.items() if v is not None}
    return ActionSpace.read(Options(values, "policy.yaml: action"))


def convert(declared, actions, robot=ROBOT, turned=None, joints=REST):
    actions = np.atleast_2d(np.asarray(actions, float))
    adapter = ActionAdapter(declared, robot, actions.shape[-1])
    quaternion = None if turned is None else Rotation.from_matrix(turned).as_quat()
    return adapter.convert(actions[None], joints, quaternion)[0]


def test_a_change_of_the_tool_in_the_base_passes_through():
    action = [0.01, -0.02, 0.03, 0.1, -0.2, 0.3, 0.25]
    np.testing.assert_allclose(convert(space(TOOL), action)[0], action, atol=1e-12)


def test_units_padding_and_the_gripper_of_another_convention():
    declared = space(
        TOOL,
        translation_unit=0.001,
        rotation_unit=np.pi / 180,
        gripper={"closed": 1, "open": -1, "threshold": 0.5},
        padding=2,
    )
    (action,) = convert(declared, [10, 0, 0, 90, 0, 0, -1, 9, 9])
    np.testing.assert_allclose(action, [0.01, 0, 0, np.pi / 2, 0, 0, 1], atol=1e-12)
    adapter = ActionAdapter(declared, ROBOT, 9)
    assert adapter.executable(np.array([0, 0, 0, 0, 0, 0, 0.4]))[6] == 0.0
    assert adapter.executable(np.array([0, 0, 0, 0, 0, 0, 0.6]))[6] == 1.0


def test_six_numbers_without_a_gripper_keep_it_where_the_configuration_says():
    (action,) = convert(space(TOOL, gripper={"fixed": 1.0}), [0.01, 0, 0, 0, 0, 0.1])
    np.testing.assert_allclose(action, [0.01, 0, 0, 0, 0, 0.1, 1.0], atol=1e-12)


def test_changes_in_the_tool_frame_follow_the_tool_through_the_chunk():
    """Twice forward and a quarter turn about z, from a tool that looks along y."""
    turned = rotation_matrix([0, 0, np.pi / 2])
    steps = [[0.01, 0, 0, 0, 0, np.pi / 2, 1]] * 2
    found = convert(space(TOOL, frame="tool"), steps, turned=turned)
    np.testing.assert_allclose(found[:, :3], [[0, 0.01, 0], [-0.01, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(found[:, 5], np.pi / 2)


@pytest.mark.parametrize("frame", ["base", "tool"])
def test_chunks_relative_to_the_observation_become_changes_from_action_to_action(frame):
    turned = rotation_matrix([0.4, -0.2, 1.0])
    declared = space(TOOL, reference="observation", frame=frame)
    straight = [[0.01 * i, 0, 0, 0, 0, 0.1 * i, 1] for i in (1, 2, 3)]
    found = convert(declared, straight, turned=turned)
    np.testing.assert_allclose(found, np.repeat(found[:1], 3, axis=0), atol=1e-9)
    assert np.linalg.norm(found[0, :3]) == pytest.approx(0.01)


@pytest.mark.parametrize("unit", ["rad", "deg"])
def test_joint_targets_become_the_motion_of_the_tool(unit):
    targets = REST + np.array([[0.02] * 7, [0.03] * 7])
    factor = 1.0 if unit == "rad" else 180 / np.pi
    actions = np.column_stack([targets * factor, [0.04, 0.08]])
    found = convert(space(JOINTS, joint_unit=unit), actions)
    chain = Chain(PANDA, ARM)
    position, rotation = chain.pose(REST)
    for action in found:
        position = position + action[:3]
        rotation = rotation_matrix(action[3:6]) @ rotation
    expected = chain.pose(targets[-1])
    np.testing.assert_allclose(position, expected[0], atol=1e-9)
    np.testing.assert_allclose(rotation, expected[1], atol=1e-9)
    np.testing.assert_allclose(found[:, 6], [0.5, 1.0])


def test_joint_changes_add_up_and_another_order_of_joints_is_put_right():
    names = list(ARM[::-1])
    steps = np.random.default_rng(0).normal(0, 0.02, (3, 7))
    absolute = convert(
        space(JOINTS), np.column_stack([REST + np.cumsum(steps, axis=0), np.zeros(3)])
    )
    relative = convert(
        space(JOINTS, space="joint_delta", joints=names),
        np.column_stack([steps[:, ::-1], np.zeros(3)]),
    )
    np.testing.assert_allclose(relative, absolute, atol=1e-9)
    to_start = convert(
        space(JOINTS, space="joint_delta", reference="observation"),
        np.column_stack([np.cumsum(steps, axis=0), np.zeros(3)]),
    )
    np.testing.assert_allclose(to_start, absolute, atol=1e-9)


@pytest.mark.parametrize(
    ("declared", "size", "robot", "match"),
    [
        (
            space(TOOL),
            6,
            ROBOT,
            "gives actions of 6 numbers, but.*7 .*tool_rotation 3",
        ),
        (space(TOOL), 32, ROBOT, "of 32 numbers"),
        (space(JOINTS), 7, ROBOT, "of 7 numbers, but.* 8 .*joint_position 7, gripper 1"),
        (
            space(JOINTS, joints=list(ARM[:6])),
            7,
            ROBOT,
            r"names 6 joints.*the robot's joint_names are 7",
        ),
        (
            space(JOINTS, joints=["j1", *ARM[1:]]),
            8,
            ROBOT,
            "action.joints names 7 joints .j1",
        ),
        (
            space(JOINTS),
            8,
            RobotDescription(ARM, LOWER, UPPER),
            "needs the robot's kinematics.*robot_description is empty",
        ),
    ],
)
def test_a_policy_that_does_not_fit_the_robot_is_refused(declared, size, robot, match):
    with pytest.raises(BackendError, match=match):
        ActionAdapter(declared, robot, size)


def test_angles_in_degrees_declared_as_radians_are_found_out():
    means = np.array([0.0, -17.0, 0.0, -126.0, 0.0, 109.0, 45.0, 0.04])
    ActionAdapter(space(JOINTS, joint_unit="deg"), ROBOT, 8, means)
    with pytest.raises(BackendError, match=r"unit 'rad' cannot be right.*'panda_joint2'"):
        ActionAdapter(space(JOINTS), ROBOT, 8, means)


@pytest.mark.parametrize(
    ("base", "changes", "match"),
    [
        (TOOL, {"space": "cartesian"}, "'space' must be one of tool_delta"),
        (TOOL, {"frame": None}, "action: 'frame' is missing"),
        (TOOL, {"rotation": "quaternion"}, "must be one of rotation_vector"),
        (TOOL, {"joints": ["a"]}, "unknown entries joints"),
        (TOOL, {"gripper": {"closed": 1, "open": 1}}, "closed and open are both 1"),
        (TOOL, {"gripper": {"open": 1}}, "gripper: 'closed' is missing"),
        (TOOL, {"gripper": {"fixed": 2}}, "'fixed' must be a number of at least 0.0 and at most"),
        (TOOL, {"scale": {"translation": 0.0, "rotation": 1}}, "'translation' must be a number"),
        (TOOL, {"padding": 1.5}, "'padding' must be a whole number"),
        (JOINTS, {"joint_unit": "turns"}, "must be one of rad, deg"),
        (JOINTS, {"frame": "tool"}, "unknown entries frame"),
        (JOINTS, {"reference": "previous"}, "unknown entries reference"),
    ],
)
def test_declarations_that_cannot_be_meant_are_named(base, changes, match):
    with pytest.raises(BackendError, match=match):
        space(base, **changes)


ARMS = [f"{side}_joint_{i}" for side in ("left", "right") for i in range(1, 7)]
NATIVE = {
    "space": "native",
    "names": [*ARMS, "left_gripper", "right_gripper"],
    "units": ["rad"] * 12 + ["1"] * 2,
    "kinds": ["joint_position"] * 12 + ["gripper"] * 2,
    "scale": [0.05] * 12 + [1.0] * 2,
}


def test_native_joint_positions_of_two_arms_are_proposed_as_they_are():
    declared = space(NATIVE, padding=18)
    robot = RobotDescription(tuple(ARMS), (), ())  # no limits, no kinematics
    actions = np.random.default_rng(0).normal(size=(2, 3, 32))
    adapter = ActionAdapter(declared, robot, 32)
    np.testing.assert_array_equal(adapter.convert(actions, None, None), actions[..., :14])
    assert adapter.own(actions[0, 0]) is None
    assert declared.policy_action is None
    assert declared.action.size == 14
    assert declared.action.scale == (0.05,) * 12 + (1.0,) * 2


def test_native_degrees_and_per_cent_become_rad_and_openings():
    declared = space(
        {
            "space": "native",
            "names": ["shoulder", "elbow", "jaw"],
            "units": ["deg", "deg", "%"],
            "kinds": ["joint_position", "joint_position", "gripper"],
            "scale": [1.0, 2.0, 50.0],
        }
    )
    adapter = ActionAdapter(declared, RobotDescription(("shoulder", "elbow"), (), ()), 3)
    own = np.array([90.0, -180.0, 25.0])
    np.testing.assert_allclose(
        adapter.convert(own[None, None], None, None)[0, 0], [np.pi / 2, -np.pi, 0.25]
    )
    np.testing.assert_array_equal(adapter.own(own), own)
    assert declared.action.units == ("rad", "rad", "1")
    assert declared.policy_action.units == ("deg", "deg", "%")
    assert declared.action.scale == pytest.approx((np.pi / 180, np.pi / 90, 0.5))


def test_the_policys_own_numbers_travel_beside_the_motion_of_the_tool():
    declared = space(JOINTS, joint_unit="deg", padding=2)
    own = np.append(np.degrees(REST), [0.04, 9.0, 9.0])
    adapter = ActionAdapter(declared, ROBOT, 10)
    np.testing.assert_array_equal(adapter.own(own), own[:8])
    assert declared.policy_action.names == (*ARM, "gripper")
    assert declared.policy_action.units == ("deg",) * 7 + ("1",)
    assert [*declared.policy_action.kinds] == ["joint_position"] * 7 + ["gripper"]
    assert declared.action.size == 7


def test_what_the_robot_does_not_tell_is_asked_for_by_name():
    needs_joints = ActionAdapter(space(JOINTS), ROBOT, 8)
    with pytest.raises(PolicyOutputError, match="joint_states is missing"):
        needs_joints.convert(np.zeros((1, 1, 8)), None, None)
    needs_tool = ActionAdapter(space(TOOL, frame="tool"), ROBOT, 7)
    with pytest.raises(PolicyOutputError, match="tool_pose is missing"):
        needs_tool.convert(np.zeros((1, 1, 7)), REST, None)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"names": ["a"] * 14}, "hold a name twice"),
        ({"names": ARMS}, "14 action units are given for 12 action names"),
        ({"kinds": ["torque"] * 14}, "action kind 'torque' does not exist: use tool_translation"),
        ({"units": ["turns"] * 14}, "the unit of 'left_joint_1' is 'turns'.* one of rad, m"),
        ({"scale": [0.1] * 13 + [0.0]}, "scale: '13' must be a number"),
        ({"scale": 0.1}, "'scale' must be a list of numbers"),
        ({"gripper": {"fixed": 1.0}}, "unknown entries gripper"),
        ({"names": [f"j{i}" for i in range(65)]}, "1 to 64 dimensions, not 65"),
    ],
)
def test_native_actions_that_cannot_be_meant_are_named(changes, match):
    with pytest.raises(BackendError, match=match):
        space(NATIVE, **changes)


def test_a_native_policy_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(BackendError, match=r"actions of 7 numbers, but its .* 14 "):
        ActionAdapter(space(NATIVE), RobotDescription(tuple(ARMS), (), ()), 7)


CONFIG = {
    "schema": 1,
    "control_period": 0.1,
    "cameras": {"observation.images.top": {"camera": "front", "size": [48, 64]}},
    "state": {"parts": ["tool_position", "tool_euler_xyz", "gripper_width"]},
    "action": TOOL,
}


def config(tmp_path, **changes):
    path = tmp_path / "salus_policy.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **changes}))
    return read_config(find_config(tmp_path, ""), "smolvla")


def observation(**changes):
    values = {
        "images": {},
        "joint_positions": REST,
        "joint_velocities": np.zeros(7),
        "tool_position": np.array([0.5, 0.0, 0.3]),
        "tool_quaternion": np.array([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]),
        "gripper_width": 0.02,
        "instruction": "pick it",
        "step": 0,
    }
    return Observation(**{**values, **changes})


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            {
                "parts": ["tool_position", "tool_euler_xyz", "gripper_opening"],
                "gripper_open_width": 0.08,
            },
            [0.5, 0, 0.3, 0, 0, np.pi / 2, 0.25],
        ),
        (
            {"parts": ["tool_rotation_vector", "zero", "finger_positions"]},
            [0, 0, np.pi / 2, 0, 0.01, -0.01],
        ),
        (
            {"parts": ["joint_positions"], "joints": list(ARM[::-1]), "joint_unit": "deg"},
            np.degrees(REST[::-1]),
        ),
    ],
)
def test_a_state_is_put_together_as_declared(tmp_path, state, expected):
    layout = config(tmp_path, state=state).state
    layout.bind(ROBOT, len(expected))
    np.testing.assert_allclose(layout.vector(observation()), expected, atol=1e-5)
    with pytest.raises(BackendError, match=f"takes a state of 20 numbers.* {len(expected)} "):
        layout.bind(ROBOT, 20)


@pytest.mark.parametrize(
    ("part", "lacks"),
    [
        ("tool_euler_xyz", "tool_quaternion"),
        ("gripper_width", "gripper_width"),
        ("tool_position", "tool_position"),
    ],
)
def test_a_state_that_the_robot_does_not_tell_is_not_made_up(tmp_path, part, lacks):
    layout = config(tmp_path, state={"parts": [part]}).state
    layout.bind(ROBOT, len(layout.vector(observation())))
    with pytest.raises(PolicyOutputError, match=f"needs {lacks}, which the robot does not tell"):
        layout.vector(observation(**{lacks: None}))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"schema": 2}, "'schema' must be 1"),
        ({"frequency": 10}, "unknown entries frequency"),
        ({"control_period": "fast"}, "'control_period' must be a number"),
        ({"cameras": {}}, "must name the policy's image inputs"),
        ({"cameras": {"a": {"camera": "front"}}}, "cameras: a: 'size' is missing"),
        ({"cameras": {"a": {"camera": "front", "size": [64]}}}, r"\[height, width\]"),
        ({"state": {"parts": ["torque"]}}, "unknown parts torque; known: tool_position"),
        ({"state": {"parts": ["joint_positions"]}}, "name the policy's 'joints'"),
        ({"state": {"parts": ["gripper_opening"]}}, "needs 'gripper_open_width'"),
    ],
)
def test_configurations_that_cannot_be_meant_are_named(tmp_path, changes, match):
    with pytest.raises(BackendError, match=match):
        config(tmp_path, **changes)


def test_a_checkpoint_without_a_configuration_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(BackendError, match=r"salus_policy\.yaml.*docs/backends\.md.*policy_config"):
        find_config(tmp_path, "")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(BackendError, match=r"cannot read .*broken\.yaml"):
        read_config(find_config(tmp_path, str(tmp_path / "broken.yaml")), "smolvla")
