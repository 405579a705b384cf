# SPDX-License-Identifier: Apache-2.0
"""Watch a policy on your own robot or simulator, and record it: no world.

The robot gives images, joint_states and tool_pose, and executes command; docs/your_robot.md walks
through it. With policy:=none your own node publishes vla_signals and signal_info. With record:=true
a recorder writes episodes, which you begin, end and label: docs/your_robot.md, "Record and label".
"""

from launch import LaunchDescription
from launch.actions import GroupAction
from launch.conditions import IfCondition, UnlessCondition
from launch.substitutions import (
    EqualsSubstitution,
    IfElseSubstitution,
    LaunchConfiguration,
    PathJoinSubstitution,
)
from launch_ros.actions import PushRosNamespace
from launch_ros.substitutions import FindPackageShare

from salus.launch_common import (
    argument,
    check_arguments,
    check_paths,
    common_arguments,
    end_together,
    node,
    path,
    predictor_checkpoint,
    switch,
    typed,
)

TOPICS = (
    *("joint_states", "tool_pose", "command", "vla_signals", "signal_info"),
    *("controller_command", "gripper_command"),
)

ARGUMENTS = [
    argument("policy", "embedded", "Policy backend, by name; none: your own node gives signals."),
    argument("checkpoint", "default", "Checkpoint of the policy: name, folder, hub id, HOST:PORT."),
    argument(
        "policy_config", "", "What a foreign policy's numbers mean; empty: in its checkpoint."
    ),
    argument("robot_description", "", "URDF (path), for policies that act in joint angles."),
    argument(
        "predictor",
        "default",
        "Checkpoint of the predictor; default: the one that ships for the default policy, none "
        "with others; none: no forecasts.",
    ),
    argument("instruction", "", "Sentence given to the policy."),
    argument("joint_states", "joint_states", "Topic of the robot's sensor_msgs/JointState."),
    argument("tool_pose", "tool_pose", "Topic of the tool's geometry_msgs/PoseStamped."),
    argument("command", "command", "Topic of the salus_msgs/ActionCommand to execute."),
    argument(
        "controller",
        "none",
        "Also send commands as a controller takes them: twist (TwistStamped: MoveIt Servo), "
        "positions or velocities (Float64MultiArray), trajectory (JointTrajectory).",
        ("none", "twist", "positions", "velocities", "trajectory"),
    ),
    argument("controller_command", "controller_command", "Topic of the controller's commands."),
    argument("gripper_command", "gripper_command", "Topic of the gripper's Float64MultiArray."),
    argument("vla_signals", "vla_signals", "Topic of the policy's signals."),
    argument("signal_info", "signal_info", "Topic of the description of the signals."),
    switch("record", "false", "Whether to record episodes, and let people begin and end them."),
    argument("output", "runs", "Folder of runs; relative to the current one."),
    argument("failure_types", "", "YAML file of failure types besides the built-in ones."),
    *common_arguments("monitor.yaml", use_sim_time="false"),
]


def generate_launch_description() -> LaunchDescription:
    """Describe the watch over a policy."""
    topics = [(name, LaunchConfiguration(name)) for name in TOPICS]
    record = IfCondition(LaunchConfiguration("record"))
    # Recorded, the topic episode begins and ends episodes: it overrides the parameter file.
    episodes = IfElseSubstitution(
        LaunchConfiguration("record"),
        PathJoinSubstitution([FindPackageShare("salus"), "config", "record.yaml"]),
        LaunchConfiguration("params_file"),
    )
    predictor = node(
        "salus_predictor_node",
        "predictor_node",
        "predictor",
        {"checkpoint": predictor_checkpoint()},
        remappings=topics,
    )
    recording = [
        node(
            "salus_recorder",
            "recorder_node",
            "recorder",
            {"output": path("output"), "failure_types": typed("failure_types", str)},
            remappings=topics,
            condition=record,
        ),
        node(
            "salus_recorder",
            "episode_label_node",
            "episode_label",
            {
                "instruction": typed("instruction", str),
                "failure_types": typed("failure_types", str),
            },
            condition=record,
        ),
    ]
    nodes = [
        node(
            "salus_vla_node",
            "vla_node",
            "vla",
            {
                "backend": typed("policy", str),
                "checkpoint": typed("checkpoint", str),
                "policy_config": typed("policy_config", str),
                "robot_description": typed("robot_description", str),
                "instruction": typed("instruction", str),
            },
            remappings=topics,
            overrides=[episodes],
            condition=UnlessCondition(EqualsSubstitution(LaunchConfiguration("policy"), "none")),
        ),
        predictor,
        node(
            "salus_supervisor",
            "supervisor_node",
            "supervisor",
            {},
            remappings=topics,
            overrides=[episodes],
        ),
        node(
            "salus_supervisor",
            "controller_node",
            "controller",
            {"output": typed("controller", str)},
            remappings=topics,
            condition=UnlessCondition(
                EqualsSubstitution(LaunchConfiguration("controller"), "none")
            ),
        ),
        *recording,
    ]
    return LaunchDescription(
        [
            *ARGUMENTS,
            check_arguments("monitor.launch.py", ARGUMENTS),
            check_paths("params_file"),
            end_together("monitor.launch.py", nodes, watching=[predictor, *recording]),
            GroupAction([PushRosNamespace(LaunchConfiguration("namespace")), *nodes]),
        ]
    )
