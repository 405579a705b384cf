# SPDX-License-Identifier: Apache-2.0
"""Loads the policy that the parameters name and fits it to the robot."""

import reprlib
from itertools import islice
from pathlib import Path

from salus_core.paths import PathError, require_beneath
from salus_policies.backends.base import BackendError, LoadOptions
from salus_policies.policy import MonitoredPolicy
from salus_policies.robot import RobotDescription, read_urdf
from salus_ros.managed_node import ConfigureError
from salus_vla_node.body import Body
from salus_vla_node.cameras import policy_cameras
from salus_vla_node.parameters import VlaParameters

MOST_FILES = 10_000
"""Of a checkpoint's folder."""


def require_allowed(given: VlaParameters, checkpoint: str) -> None:
    """Check that the service may load a checkpoint.

    Args:
        given: parameters, checkpoint_folders and checkpoint_ids among them.
        checkpoint: a folder, hub id, name or address.

    Raises:
        ConfigureError: it lies elsewhere, or is not listed.
    """
    if checkpoint in ("default", given.checkpoint, *filter(None, given.checkpoint_ids)):
        return
    if not checkpoint or not checkpoint.isprintable() or len(checkpoint) > 1024:
        raise ConfigureError(f"{reprlib.repr(checkpoint)} names no checkpoint")
    path = Path(checkpoint)
    if not path.exists():
        raise ConfigureError(
            f"'{checkpoint}' is no folder here, and not listed in the parameter checkpoint_ids"
        )
    folders = [folder for folder in given.checkpoint_folders if folder]
    if not folders and Path(given.checkpoint).exists():
        folders = [str(Path(given.checkpoint).absolute().parent)]
    files = list(islice(path.rglob("*"), MOST_FILES + 1))
    if len(files) > MOST_FILES:
        raise ConfigureError(f"'{checkpoint}' holds more than {MOST_FILES} files: no checkpoint")
    try:
        require_beneath((path, *files), folders, "checkpoint_folders")
    except PathError as error:
        raise ConfigureError(f"checkpoint {error}") from error


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
        policy_cameras(policy.info.cameras, given.camera_topics)
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
