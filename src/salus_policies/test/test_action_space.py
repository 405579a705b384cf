"""Action spaces: what a policy's numbers become, and what is refused."""

import numpy as np
import pytest
import yaml
from test_kinematics import ARM, LOWER, PANDA, UPPER

from salus_policies.action_space import ActionAdapter, ActionSpace
from salus_policies.backends.base import BackendError, Observation
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
    rotation = np.eye(3) if turned is None else turned
    return adapter.convert(actions[None], joints, rotation)[0]


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
        (space(TOOL), 6, ROBOT, "gives actions of 6 numbers, but.*7 .*translation 3, rotation 3"),
        (space(TOOL), 32, ROBOT, "of 32 numbers"),
        (space(JOINTS), 7, ROBOT, "of 7 numbers, but.* 8 .*joints 7, gripper 1"),
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
    with pytest.raises(BackendError, match=r"joint_unit 'rad' cannot be right.*'panda_joint2'"):
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
