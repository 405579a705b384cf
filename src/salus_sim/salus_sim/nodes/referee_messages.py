# SPDX-License-Identifier: Apache-2.0
"""From messages to what the referee reads."""

from __future__ import annotations

import numpy as np
from salus_msgs.msg import EpisodeSetup, WorldState

from salus_sim.referee import Referee
from salus_sim.scene import Scene
from salus_sim.truth import GroundTruth


def make_referee(scene: Scene, setup: EpisodeSetup) -> Referee:
    """The referee of the episode that a setup describes."""
    goal = setup.goal_pose.position
    return Referee(
        scene,
        setup.task,
        setup.target_object,
        np.array([goal.x, goal.y, goal.z]),
        setup.goal_radius,
        setup.max_steps,
    )


def truth_of(state: WorldState) -> GroundTruth:
    """What the referee reads of a message."""
    poses = {
        name: np.array(
            [
                *(pose.position.x, pose.position.y, pose.position.z),
                *(pose.orientation.x, pose.orientation.y),
                *(pose.orientation.z, pose.orientation.w),
            ]
        )
        for name, pose in zip(state.object_names, state.object_poses, strict=True)
    }
    tool = state.tool_pose.position
    return GroundTruth(
        step=state.step,
        tool_position=np.array([tool.x, tool.y, tool.z]),
        object_poses=poses,
        gripper_width=state.gripper_width,
        gripper_command=state.gripper_command,
        grasped_object=state.grasped_object,
        contact_force=state.contact_force,
        contact_body=state.contact_body,
    )
