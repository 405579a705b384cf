"""Watch a policy on your own robot or simulator: policy, predictor and supervisor, no world.

The robot gives camera/NAME/image_raw, joint_states and tool_pose, and executes command.
"""

from launch import LaunchDescription
from launch.actions import GroupAction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import PushRosNamespace

from salus.launch_common import (
    argument,
    check_arguments,
    check_paths,
    common_arguments,
    end_together,
    node,
    typed,
)

ARGUMENTS = [
    argument("policy", "embedded", "Policy backend, by name."),
    argument("checkpoint", "default", "Checkpoint of the policy: name, folder or hub id."),
    argument("predictor", "", "Checkpoint of the predictor; empty: no forecasts."),
    argument("instruction", "", "Sentence given to the policy."),
    *common_arguments("monitor.yaml", use_sim_time="false"),
]


def generate_launch_description() -> LaunchDescription:
    """Describe the watch over a policy."""
    nodes = [
        node(
            "salus_vla_node",
            "vla_node",
            "vla",
            {
                "backend": typed("policy", str),
                "checkpoint": typed("checkpoint", str),
                "instruction": typed("instruction", str),
            },
        ),
        node(
            "salus_predictor_node",
            "predictor_node",
            "predictor",
            {"checkpoint": typed("predictor", str)},
        ),
        node("salus_supervisor", "supervisor_node", "supervisor", {}),
    ]
    return LaunchDescription(
        [
            *ARGUMENTS,
            check_arguments("monitor.launch.py", ARGUMENTS),
            check_paths("params_file"),
            end_together(),
            GroupAction([PushRosNamespace(LaunchConfiguration("namespace")), *nodes]),
        ]
    )
