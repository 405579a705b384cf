# SPDX-License-Identifier: Apache-2.0
"""Parameters of the VLA node."""

from dataclasses import dataclass

from salus_core.messages import FITS, JOINT_STATES, TOOL_POSE
from salus_policies.backends.base import DEVICES, PRECISIONS
from salus_ros.managed_node import ManagedParameters
from salus_ros.parameters import parameter
from salus_ros.qos import RELIABILITIES

PANDA_JOINTS = [f"panda_joint{i}" for i in range(1, 8)]
PANDA_FINGERS = ["panda_finger_joint1", "panda_finger_joint2"]
# Limits of the Franka Emika Panda, from the manufacturer's public table of limits [rad].
PANDA_LOWER = [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]
PANDA_UPPER = [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]


FROZEN_AFTER = 2.0
"""See the parameter frozen_after [s]."""


@dataclass
class VlaParameters(ManagedParameters):
    """Parameters of the VLA node; what the weights depend on needs a new configure."""

    backend: str = parameter(
        "embedded",
        "Policy backend: a known name, or 'module:class' of one's own PolicyBackend.",
        read_only=True,
    )
    checkpoint: str = parameter(
        "default",
        "Weights of the policy: 'default' (those that ship with SALUS), a folder, a name or a hub "
        "id. The service load_checkpoint replaces them at run time.",
        read_only=True,
    )
    checkpoint_folders: list[str] = parameter(
        [""],
        "The service ~/load_checkpoint loads folders that lie beneath these, links followed; "
        "['']: beneath the folder that holds the checkpoint of the parameter checkpoint.",
        read_only=True,
    )
    checkpoint_ids: list[str] = parameter(
        [""],
        "Hub ids, names and addresses that the service ~/load_checkpoint loads besides the "
        "parameter checkpoint and 'default'.",
        read_only=True,
    )
    policy_config: str = parameter(
        "",
        "File that says what a foreign policy's cameras, state and actions mean; empty: "
        "salus_policy.yaml in the checkpoint's folder. Of the backend remote: its timeouts.",
        read_only=True,
    )
    device: str = parameter(
        "auto",
        "Where the policy runs; auto: CUDA where there is a GPU.",
        choices=DEVICES,
        read_only=True,
    )
    precision: str = parameter(
        "auto",
        "Arithmetic of the policy; auto: float32 on the CPU.",
        choices=PRECISIONS,
        read_only=True,
    )
    threads: int = parameter(
        1,
        "Threads of the policy's arithmetic on the CPU; 0: the library's default.",
        minimum=0,
        maximum=256,
        read_only=True,
    )
    window: int = parameter(
        10, "Steps of the windowed signals.", minimum=2, maximum=1000, read_only=True
    )
    instruction: str = parameter(
        "", "Sentence given to the policy; empty: the one of the episode's status."
    )
    camera_topics: list[str] = parameter(
        [""],
        "Topics of cameras that are not on camera/NAME/image_raw, each as 'NAME=topic'.",
        read_only=True,
    )
    image_fit: str = parameter(
        "exact",
        "Images of another size than the policy's: 'exact' refuses them, 'crop' scales their "
        "middle of the policy's proportions, 'stretch' scales all of them.",
        choices=FITS,
        read_only=True,
    )
    inputs: list[str] = parameter(
        [JOINT_STATES, TOOL_POSE],
        "Topics that an observation needs besides the cameras. For a robot without a tool pose "
        "leave tool_pose out: signals that need it are invalid then, never made up; [''] is none.",
        choices=("", JOINT_STATES, TOOL_POSE),
        read_only=True,
    )
    image_reliability: str = parameter(
        "reliable",
        "Reliability asked for by the camera subscriptions; reliable in lockstep.",
        choices=RELIABILITIES,
        read_only=True,
    )
    body_reliability: str = parameter(
        "best_effort",
        "Reliability asked for by the subscriptions of joint_states and tool_pose: best_effort "
        "takes any publisher, reliable is for lockstep.",
        choices=RELIABILITIES,
        read_only=True,
    )
    joint_names: list[str] = parameter(
        PANDA_JOINTS,
        "Joints of the robot in the policy's order; joint_states may have them in any order.",
        read_only=True,
    )
    finger_joint_names: list[str] = parameter(
        PANDA_FINGERS,
        "Joints whose positions add up to the gripper's width [m]; ['']: there are none.",
        read_only=True,
    )
    joint_lower: list[float] = parameter(
        PANDA_LOWER,
        "Lower limits of joint_names [rad]; -.inf: the joint has none.",
        read_only=True,
    )
    joint_upper: list[float] = parameter(
        PANDA_UPPER,
        "Upper limits of joint_names [rad]; .inf: the joint has none.",
        read_only=True,
    )
    robot_description: str = parameter(
        "",
        "The robot's URDF, as a path or as XML; for policies whose actions are joint angles.",
        read_only=True,
    )
    tool_link: str = parameter(
        "",
        "Link of the URDF whose pose is tool_pose; empty: the last one.",
        read_only=True,
    )
    step_source: str = parameter(
        "topic",
        "'topic': steps and their numbers come with the topic step, the topic episode says when to "
        "act. 'images': for robots without them, every image of the policy's first camera is a "
        "step, and this node publishes the topic step.",
        choices=("topic", "images"),
        read_only=True,
    )
    episode_source: str = parameter(
        "images",
        "With step_source 'images': 'topic': the topic episode begins and ends episodes, as the "
        "node episode_label sends it; nothing is done in between. 'images': an episode begins with "
        "the activation, and where stamps go back.",
        choices=("topic", "images"),
        read_only=True,
    )
    stamp_tolerance: float = parameter(
        0.05,
        "With step_source 'images': largest difference between the stamps of one observation [s]. "
        "Of each topic the message with the nearest stamp is taken.",
        minimum=0.0,
        maximum=1.0,
    )
    input_wait: float = parameter(
        0.2,
        "With step_source 'images': an image waits so long for other cameras, joint_states and "
        "tool_pose that come late [s]; then it is given up and counted.",
        minimum=0.0,
        maximum=1.0,
    )
    stale_after: float = parameter(
        1.0,
        "With step_source 'images': a leading camera without a new image for so long is a problem "
        "in diagnostics [s].",
        minimum=0.05,
        maximum=600.0,
    )
    frozen_after: float = parameter(
        -1.0,
        "Nothing is done on a picture that stays the same, byte for byte, for longer, by its "
        "stamps [s]; 0: for ever, as in a simulator, whose pictures have no noise; -1: 2 s with "
        "step_source 'images', for ever with 'topic'.",
        minimum=-1.0,
        maximum=600.0,
    )
    joint_margin: float = parameter(
        0.5,
        "Nothing is done while a joint is further beyond its limits [rad, m].",
        minimum=0.0,
        read_only=True,
    )
    queue_depth: int = parameter(
        4,
        "Observations that may wait for the policy; then the oldest is dropped and counted. With "
        "step_source 'images' only the newest waits.",
        minimum=1,
        maximum=16,
        read_only=True,
    )
    command_wait: float = parameter(
        0.1,
        "Longest wait, after inference, for the command of the step before, which the signal "
        "execution_mismatch needs [s].",
        minimum=0.0,
        maximum=1.0,
    )
