# SPDX-License-Identifier: Apache-2.0
"""The arm's Cartesian controller: tool-pose deltas to joint targets by damped least squares."""

from __future__ import annotations

import mujoco
import numpy as np

from salus_sim.scene import Scene

_AIM_PARTS = 12  # of the way to a far pose, one iteration each


class CartesianController:
    """Follows the commanded tool pose, which each action moves by a bounded step.

    The inverse kinematics run on a copy of the robot, so that they never disturb the physics.
    Method: damped least squares with a pull towards the rest pose in the null space (Buss 2009,
    "Introduction to inverse kinematics", eq. 11).
    """

    def __init__(self, scene: Scene, model: mujoco.MjModel) -> None:
        self._control, self._arm = scene.control, scene.arm
        self._model = model
        self._data = mujoco.MjData(model)
        self._site = model.site("tool").id
        self._joints = np.array([model.joint(n).qposadr[0] for n in self._arm["joint_names"]])
        self._dofs = np.array([model.joint(n).dofadr[0] for n in self._arm["joint_names"]])
        self._scale = np.array(self._control["action_scale"])
        self._lower = np.array(self._arm["joint_lower"]) + 1e-3
        self._upper = np.array(self._arm["joint_upper"]) - 1e-3
        self._rest = np.array(self._arm["rest"])
        self.finger_lead = self._arm["finger_force"] / self._arm["finger_gain"]
        self.reset(self._rest)

    def reset(self, joints: np.ndarray) -> None:
        """Start from a joint pose (7,) [rad] with the gripper open."""
        self.joint_target = np.array(joints, dtype=float)
        self._forward()
        self.position = self._data.site_xpos[self._site].copy()
        self.rotation = self._data.site_xmat[self._site].reshape(3, 3).copy()
        self.opening = 1.0
        self.finger_target = float(self._arm["finger_travel"])

    def command(self, action: np.ndarray, achieved_position: np.ndarray) -> None:
        """Move the commanded tool pose by one action and solve for the joints.

        Args:
            action: (7,) translation [m], rotation vector [rad], opening [0..1], base frame;
                longer steps than the scene's action_scale are shortened.
            achieved_position: (3,) where the tool point really is [m].
        """
        step = np.clip(action[:6], -self._scale[:6], self._scale[:6])
        position = self.position + step[:3]
        position = np.clip(
            position, self._control["workspace_low"], self._control["workspace_high"]
        )
        lead = position - achieved_position
        distance = np.linalg.norm(lead)
        if distance > self._control["max_lead"]:
            position = achieved_position + lead * (self._control["max_lead"] / distance)
        self.position = position
        self.rotation = _rotation(step[3:]) @ self.rotation
        self.opening = float(np.clip(action[6], 0.0, 1.0))
        for _ in range(self._control["ik_iterations"]):
            self._iterate()

    def move_fingers(self, achieved: float) -> float:
        """Let a period pass for the fingers, which are slow.

        Args:
            achieved: where each finger really is [m]. One that presses stands in front of its
                target by what gives its largest force, so it lets go without delay.

        Returns:
            Each finger's target [m].
        """
        arm = self._arm
        reach, lead = arm["finger_speed"] / self._control["rate"], self.finger_lead
        wanted = self.opening * arm["finger_travel"]
        target = np.clip(self.finger_target, achieved - lead, achieved + lead)
        self.finger_target = float(target + np.clip(wanted - target, -reach, reach))
        return self.finger_target

    def aim(self, position: np.ndarray, turn: float) -> None:
        """Solve for a tool pose far from the present one, from the rest pose.

        Args:
            position: (3,) of the tool point [m].
            turn: yaw of the hand, from the rest pose [rad].
        """
        self.reset(self._rest)
        self.rotation = _rotation(np.array([0.0, 0.0, turn])) @ self.rotation
        start = self.position
        for part in np.linspace(0.1, 1.0, _AIM_PARTS):
            self.position = start + part * (np.asarray(position) - start)
            self._iterate()
        self._iterate()

    def _iterate(self) -> None:
        self._forward()
        data, model = self._data, self._model
        jacobian = np.zeros((6, model.nv))
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], self._site)
        jacobian = jacobian[:, self._dofs]
        current = data.site_xmat[self._site].reshape(3, 3)
        error = np.concatenate(
            [
                self.position - data.site_xpos[self._site],
                _rotation_vector(self.rotation @ current.T),
            ]
        )
        square = jacobian @ jacobian.T + self._control["ik_damping"] * np.eye(6)
        inverse = jacobian.T @ np.linalg.inv(square)
        pull = self._control["ik_rest_pull"] * (self._rest - self.joint_target)
        change = inverse @ error + (np.eye(7) - inverse @ jacobian) @ pull
        self.joint_target = np.clip(self.joint_target + change, self._lower, self._upper)

    def _forward(self) -> None:
        self._data.qpos[self._joints] = self.joint_target
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)


def _rotation(vector: np.ndarray) -> np.ndarray:
    quaternion, matrix = np.zeros(4), np.zeros(9)
    angle = np.linalg.norm(vector)
    axis = vector / angle if angle > 0 else np.array([1.0, 0.0, 0.0])
    mujoco.mju_axisAngle2Quat(quaternion, axis, angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)


def _rotation_vector(matrix: np.ndarray) -> np.ndarray:
    quaternion, velocity = np.zeros(4), np.zeros(3)
    mujoco.mju_mat2Quat(quaternion, matrix.ravel())
    mujoco.mju_quat2Vel(velocity, quaternion, 1.0)
    return velocity
