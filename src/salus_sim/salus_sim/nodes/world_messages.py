# SPDX-License-Identifier: Apache-2.0
"""From the embedded world's values to the messages of the graph."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose
from salus_msgs.msg import EpisodeSetup, WorldState
from salus_msgs.msg import Fault as FaultMessage
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import Header

from salus_sim.faults import Fault
from salus_sim.scenario import OBSTACLE, Scenario
from salus_sim.scene import Scene
from salus_sim.world.mujoco_world import WorldTruth

BASE_FRAME = "panda_link0"


def pose_message(position: np.ndarray, quaternion: np.ndarray) -> Pose:
    """Pose from a position (3,) [m] and a quaternion (4,) xyzw."""
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = (float(v) for v in position)
    x, y, z, w = (float(v) for v in quaternion)
    pose.orientation.x, pose.orientation.y = x, y
    pose.orientation.z, pose.orientation.w = z, w
    return pose


def fault_message(fault: Fault) -> FaultMessage:
    """Fault message of an injected fault."""
    return FaultMessage(
        kind=fault.kind,
        magnitude=fault.magnitude,
        unit=fault.unit,
        onset_step=fault.onset_step,
        duration_steps=fault.duration_steps,
    )


def joint_state_message(truth: WorldTruth, names: list[str], stamp: Time) -> JointState:
    """Joint positions, velocities and efforts in the order of `names`."""
    return JointState(
        header=Header(stamp=stamp, frame_id=BASE_FRAME),
        name=names,
        position=truth.joint_positions.tolist(),
        velocity=truth.joint_velocities.tolist(),
        effort=truth.joint_efforts.tolist(),
    )


def world_state_message(
    truth: WorldTruth, scenario: Scenario, episode: int, stamp: Time, commands_missed: int
) -> WorldState:
    """Ground truth of one step; the obstacle, which never moves, is of the scenario."""
    poses = {name: pose_message(p[:3], p[3:]) for name, p in truth.object_poses.items()}
    if scenario.obstacle is not None:
        poses[OBSTACLE] = _obstacle_pose(scenario.obstacle)
    return WorldState(
        header=Header(stamp=stamp, frame_id=BASE_FRAME),
        episode=episode,
        step=truth.step,
        object_names=list(poses),
        object_poses=list(poses.values()),
        tool_pose=pose_message(truth.tool_position, truth.tool_quaternion),
        gripper_width=truth.gripper_width,
        gripper_command=truth.gripper_command,
        grasped_object=truth.grasped_object,
        contact_force=truth.contact_force,
        contact_body=truth.contact_body,
        commands_missed=commands_missed,
        faults=[fault_message(fault) for fault in truth.faults],
    )


def _obstacle_pose(obstacle: np.ndarray) -> Pose:
    x, y, yaw, _, _, height = obstacle
    quaternion = np.array([0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)])
    return pose_message(np.array([x, y, height / 2]), quaternion)


def episode_setup_message(
    scene: Scene, scenario: Scenario, episode: int, fault_profile: str, lockstep: bool, stamp: Time
) -> EpisodeSetup:
    """What the episode starts from."""
    return EpisodeSetup(
        header=Header(stamp=stamp, frame_id=BASE_FRAME),
        episode=episode,
        seed=scenario.seed,
        difficulty=scenario.difficulty,
        fault_profile=fault_profile,
        instruction=scenario.instruction,
        task=scenario.task,
        target_object=scenario.target,
        goal_pose=pose_message(scenario.goal, np.array([0.0, 0.0, 0.0, 1.0])),
        goal_radius=scenario.goal_radius,
        control_period=scene.control_period,
        max_steps=scene.control["max_steps"],
        lockstep=lockstep,
        object_names=[*scene.objects["names"], OBSTACLE],
    )


def camera_info_message(scene: Scene, camera: str) -> CameraInfo:
    """Pinhole intrinsics of a camera; the stamp is the caller's."""
    width, height = scene.cameras["width"], scene.cameras["height"]
    focal = height / 2 / float(np.tan(scene.cameras[camera]["fovy"] / 2))
    x, y = width / 2, height / 2
    return CameraInfo(
        header=Header(frame_id=optical_frame(camera)),
        width=width,
        height=height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def optical_frame(camera: str) -> str:
    """Name of a camera's optical frame."""
    return f"{camera}_camera_optical_frame"
