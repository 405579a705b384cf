"""Play a bag into the predictor. Ends with the bag; without one, it waits for your own player."""

from launch import LaunchDescription
from launch.actions import ExecuteProcess, GroupAction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, NotEqualsSubstitution
from launch_ros.actions import PushRosNamespace

from salus.launch_common import (
    argument,
    check_arguments,
    check_paths,
    common_arguments,
    end_together,
    node,
    path,
    typed,
)

ARGUMENTS = [
    argument("bag", "", "Bag to play; it holds NAMESPACE/vla_signals. Empty: play one yourself."),
    argument("predictor", "", "Checkpoint of the predictor; empty: no forecasts."),
    *common_arguments("replay.yaml", use_sim_time="true"),
]


def generate_launch_description() -> LaunchDescription:
    """Describe the replay of a bag."""
    player = ExecuteProcess(
        cmd=["ros2", "bag", "play", "--clock", "100", "--delay", "2", path("bag")],
        condition=IfCondition(NotEqualsSubstitution(LaunchConfiguration("bag"), "")),
        output="screen",
    )
    predictor = node(
        "salus_predictor_node",
        "predictor_node",
        "predictor",
        {"checkpoint": typed("predictor", str)},
    )
    return LaunchDescription(
        [
            *ARGUMENTS,
            check_arguments("replay.launch.py", ARGUMENTS),
            check_paths("params_file"),
            end_together(last=player),
            GroupAction([PushRosNamespace(LaunchConfiguration("namespace")), predictor]),
            player,
        ]
    )
