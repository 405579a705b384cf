# SPDX-License-Identifier: Apache-2.0
"""Parameters of the recorder."""

from dataclasses import dataclass

from salus_core.messages import FITS
from salus_ros.managed_node import ManagedParameters
from salus_ros.parameters import parameter
from salus_ros.qos import RELIABILITIES

REQUIRABLE = ("joint_states", "tool_pose", "world_state", "vla_signals", "command")
"""Topics, besides step and the cameras, that `required` may name."""

JOINT_NAMES = (
    *(f"panda_joint{i}" for i in range(1, 8)),
    "panda_finger_joint1",
    "panda_finger_joint2",
)
"""Joints of the embedded world, which are recorded unless others are named."""


@dataclass
class RecorderParameters(ManagedParameters):
    """Parameters of the recorder; see docs/layout.md for what ends up where."""

    output: str = parameter(
        "runs",
        "Folder of runs; made if it does not exist. Each run is a folder in it.",
        read_only=True,
    )
    env: str = parameter(
        "", "Name of the environment, appended to the run's name; may be empty.", read_only=True
    )
    cameras: list[str] = parameter(
        ["front", "side", "wrist"],
        "Cameras to record; ['']: none.",
        read_only=True,
    )
    camera_topics: list[str] = parameter(
        [""],
        "Topics of cameras that are not on camera/NAME/image_raw, each as 'NAME=topic'.",
        read_only=True,
    )
    record_images: bool = parameter(
        True, "Record images; without them a run is some fifty times smaller.", read_only=True
    )
    image_height: int = parameter(
        256, "Height that images must have [px].", minimum=1, maximum=8192, read_only=True
    )
    image_width: int = parameter(
        256, "Width that images must have [px].", minimum=1, maximum=8192, read_only=True
    )
    image_fit: str = parameter(
        "exact",
        "Images of another size: 'exact' refuses them, 'crop' scales their middle of the right "
        "proportions, 'stretch' scales all of them.",
        choices=FITS,
        read_only=True,
    )
    image_reliability: str = parameter(
        "reliable",
        "Quality of service of the images: reliable in lockstep, best_effort on a robot.",
        choices=RELIABILITIES,
        read_only=True,
    )
    body_reliability: str = parameter(
        "best_effort",
        "Quality of service of joint_states and tool_pose: best_effort takes any publisher, "
        "reliable is for lockstep.",
        choices=RELIABILITIES,
        read_only=True,
    )
    joint_names: list[str] = parameter(
        list(JOINT_NAMES), "Joints to record, in the order of `state`.", read_only=True
    )
    required: list[str] = parameter(
        list(REQUIRABLE),
        "Topics without which a step is a gap, besides step and the cameras.",
        choices=REQUIRABLE,
        read_only=True,
    )
    failure_types: str = parameter(
        "",
        "YAML file of failure types besides the built-in ones; empty: those of the predictor, "
        "else the built-in ones.",
        read_only=True,
    )
    stamp_tolerance: float = parameter(
        0.0,
        "Largest difference between the stamps of a step and of the images, joint_states and "
        "tool_pose that belong to it [s]; 0: equal, as SALUS's worlds send them.",
        minimum=0.0,
        maximum=1.0,
        read_only=True,
    )
    input_wait: float = parameter(
        3.5,
        "A step waits so long for images, joint_states and tool_pose that come late [s]; a "
        "reliable message that got lost is sent again after 3 s.",
        minimum=0.0,
        maximum=30.0,
        read_only=True,
    )
    queue_size: int = parameter(
        256,
        "Steps that may wait for messages or the disk before they are dropped, and depth of the "
        "subscriptions; with three cameras of 256x256 each takes 0.6 MB.",
        minimum=1,
        maximum=10000,
        read_only=True,
    )
    max_step_lag: int = parameter(
        100,
        "Later steps that a step waits for its messages before it is a gap: a reliable message "
        "that got lost on a busy machine may take 3 s to be sent again.",
        minimum=1,
        maximum=1000,
        read_only=True,
    )
    end_grace: float = parameter(
        5.0,
        "Time that the end of an episode waits for messages that are missing, wall clock [s].",
        minimum=0.0,
        maximum=60.0,
        read_only=True,
    )
    keep_aborted: bool = parameter(
        True, "Record episodes that were aborted; their last steps have no labels."
    )
    compression_level: int = parameter(
        3, "Level of zstd, for all arrays.", minimum=-7, maximum=22, read_only=True
    )
    min_free_bytes: int = parameter(
        500_000_000,
        "An episode does not begin with less space on the disk [B]; 0: no check.",
        minimum=0,
        read_only=True,
    )
    fsync: bool = parameter(
        False,
        "Force each episode to the disk, to survive a loss of power; takes up to a second.",
        read_only=True,
    )
