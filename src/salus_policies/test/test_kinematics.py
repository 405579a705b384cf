# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics from a URDF."""

from pathlib import Path

import numpy as np
import pytest

from salus_policies import kinematics
from salus_policies.kinematics import Chain, KinematicsError
from salus_policies.robot import RobotDescription, RobotError, read_urdf

PANDA = (Path(__file__).resolve().parents[2] / "salus/config/panda.urdf").read_text()
ARM = tuple(f"panda_joint{i}" for i in range(1, 8))
LOWER = (-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973)
UPPER = (2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973)


def test_the_panda_agrees_with_the_simulated_one():
    mujoco = pytest.importorskip("mujoco")
    from salus_sim.scene import load_scene
    from salus_sim.world.model import build_model

    model = build_model(load_scene())
    data = mujoco.MjData(model)
    addresses = [model.joint(name).qposadr[0] for name in ARM]
    chain = Chain(PANDA, ARM)
    for positions in np.random.default_rng(0).uniform(LOWER, UPPER, (20, 7)):
        data.qpos[addresses] = positions
        mujoco.mj_kinematics(model, data)
        position, rotation = chain.pose(positions)
        np.testing.assert_allclose(position, data.site("tool").xpos, atol=1e-6)
        np.testing.assert_allclose(rotation, data.site("tool").xmat.reshape(3, 3), atol=1e-6)


def test_rotations_come_back():
    vectors = np.random.default_rng(1).normal(size=(200, 3))
    vectors *= np.linspace(0.0, 3.14, 200)[:, None] / np.linalg.norm(vectors, axis=1)[:, None]
    matrices = kinematics.rotation_matrix(vectors)
    np.testing.assert_allclose(np.linalg.det(matrices), 1.0, atol=1e-12)
    np.testing.assert_allclose(kinematics.rotation_vector(matrices), vectors, atol=1e-7)
    angles = vectors.clip(-1.5, 1.5)
    np.testing.assert_allclose(
        kinematics.euler_angles(kinematics.euler_matrix(angles)), angles, atol=1e-9
    )


def test_a_quarter_turn_about_z_is_what_it_should_be():
    expected = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    half = np.sqrt(0.5)
    for matrix in (
        kinematics.rotation_matrix([0, 0, np.pi / 2]),
        kinematics.euler_matrix([0, 0, np.pi / 2]),
        kinematics.quaternion_matrix([0, 0, half, half]),
    ):
        np.testing.assert_allclose(matrix, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("urdf", "names", "tool", "match"),
    [
        ("<robot", ARM, "", "is no XML"),
        ("<robot name='a'/>", ARM, "", "no <robot> with joints"),
        (PANDA, ("shoulder", *ARM[1:]), "", "no joint shoulder; it has panda_joint1"),
        (PANDA, ARM[:6], "panda_tool", "moves panda_joint1.*panda_joint7, but joint_names are"),
        (PANDA, ARM, "gripper", "no link 'gripper'"),
        (PANDA.replace('xyz="0 0 0.333"', 'xyz="0 0"'), ARM, "", "joint 'panda_joint1'.*'0 0'"),
    ],
)
def test_descriptions_that_do_not_fit_say_why(urdf, names, tool, match):
    with pytest.raises(KinematicsError, match=match):
        Chain(urdf, names, tool)


def test_limits_wider_than_the_description_are_refused():
    RobotDescription(ARM, LOWER, UPPER, PANDA)
    with pytest.raises(RobotError, match=r"joint 'panda_joint4'.*exceed -3\.0718 to"):
        RobotDescription(ARM, LOWER, (*UPPER[:3], 1.0, *UPPER[4:]), PANDA)
    with pytest.raises(RobotError, match="joint_lower has 6 values for 7 joint_names"):
        RobotDescription(ARM, LOWER[:6], UPPER)


def test_a_description_is_read_from_a_file_or_taken_as_it_is(tmp_path):
    (tmp_path / "a.urdf").write_text(PANDA)
    assert read_urdf(str(tmp_path / "a.urdf")) == read_urdf(PANDA) == PANDA
    assert read_urdf("") == ""
    with pytest.raises(RobotError, match=r"no file .*b\.urdf"):
        read_urdf(str(tmp_path / "b.urdf"))


def test_a_description_survives_its_journey_to_a_server():
    robot = RobotDescription(ARM, LOWER, UPPER, PANDA, "panda_tool")
    assert RobotDescription.from_dict(robot.to_dict()) == robot
    with pytest.raises(RobotError, match="lacks 'joint_upper'"):
        RobotDescription.from_dict({"joint_names": [], "joint_lower": []})
