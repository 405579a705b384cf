# SPDX-License-Identifier: Apache-2.0
"""Loads the policy that the parameters name and fits it to the robot."""

from salus_policies.backends.base import BackendError, LoadOptions
from salus_policies.policy import MonitoredPolicy
from salus_policies.robot import RobotDescription, read_urdf
from salus_ros.managed_node import ConfigureError
from salus_vla_node.body import Body
from salus_vla_node.cameras import camera_topics
from salus_vla_node.parameters import VlaParameters


def load_policy(given: VlaParameters, checkpoint: str, body: Body) -> MonitoredPolicy:
    """Load a checkpoint.

    Args:
        given: parameters.
        checkpoint: as PolicyBackend.load takes it.
        body: of the robot.

    Raises:
        ConfigureError: it cannot be loaded, does not fit the robot or its messages, or parameters
            contradict each other.
    """
    try:
        robot = RobotDescription(
            body.joints,
            body.lower,
            body.upper,
            read_urdf(given.robot_description),
            given.tool_link,
        )
        policy = MonitoredPolicy.load(
            given.backend,
            checkpoint,
            LoadOptions(given.device, given.precision, given.threads, given.policy_config),
            given.window,
            list(body.lower),
            list(body.upper),
            robot,
        )
        camera_topics(policy.info.cameras, given.camera_topics)
    except (BackendError, ValueError) as error:
        raise ConfigureError(str(error)) from error
    if given.step_source == "images":
        if not given.instruction:
            raise ConfigureError("step_source 'images' needs the parameter 'instruction'")
        if not policy.info.cameras:
            raise ConfigureError(
                f"step_source 'images': policy '{policy.info.policy}' looks through no camera; "
                "publish the topic step and use step_source 'topic'"
            )
    return policy
