# SPDX-License-Identifier: Apache-2.0
"""Play a bag into the predictor. Ends with the bag; without one, it waits for your own player.

The player starts when the predictor is ready, so no step is missed. What a predictor forecast when
the bag was recorded is played aside, below NAMESPACE/recorded; the recorded clock is replaced by
the player's, which stops when it is paused (space key, or its service ~/pause).
"""

from launch import LaunchDescription
from launch.actions import ExecuteProcess, GroupAction, OpaqueFunction, RegisterEventHandler
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, NotEqualsSubstitution
from launch_ros.actions import PushRosNamespace

from salus.launch_common import (
    LaunchError,
    argument,
    check_arguments,
    check_paths,
    common_arguments,
    end_together,
    node,
    path,
    switch,
    typed,
)

ARGUMENTS = [
    argument("bag", "", "Bag to play; it holds NAMESPACE/vla_signals. Empty: play one yourself."),
    argument("predictor", "default", "Checkpoint of the predictor; default: the one that ships."),
    argument("rate", "1.0", "Speed of the player; 1: as recorded."),
    switch("paused", "false", "Whether the player begins paused."),
    *common_arguments("replay.yaml", use_sim_time="true"),
]

ASIDE = ("failure_forecast", "forecast_info")
"""Topics of the predictor: the recorded ones are played below `recorded`."""

LEFT_OUT = ("/clock", "/diagnostics")
"""Recorded topics that are not played: of the nodes of that time."""


def generate_launch_description() -> LaunchDescription:
    """Describe the replay of a bag."""
    given = NotEqualsSubstitution(LaunchConfiguration("bag"), "")
    namespace = LaunchConfiguration("namespace")
    predictor = node(
        "salus_predictor_node",
        "predictor_node",
        "predictor",
        {"checkpoint": typed("predictor", str)},
    )
    # Latched, so it answers as soon as the predictor is active, whichever of the two is first.
    ready = ExecuteProcess(
        cmd=[
            *("ros2", "topic", "echo", "--once", "--field", "predictor"),
            *("--qos-reliability", "reliable", "--qos-durability", "transient_local"),
            ["/", namespace, "/forecast_info"],
            "salus_msgs/msg/ForecastInfo",
        ],
        condition=IfCondition(given),
        output="log",
    )
    play = [
        # The player knows of a match before the subscriber does, who loses what comes in between.
        *("ros2", "bag", "play", path("bag"), "--clock", "100", "--delay", "2"),
        *("--rate", LaunchConfiguration("rate")),
        *("--exclude-topics", *LEFT_OUT),
        "--remap",
        *(["/", namespace, f"/{topic}:=/", namespace, f"/recorded/{topic}"] for topic in ASIDE),
    ]
    player = ExecuteProcess(cmd=play, output="screen")
    paused = ExecuteProcess(cmd=[*play, "--start-paused"], output="screen")

    def begin(event, context):
        if event.returncode != 0 or context.is_shutdown:
            return None
        begins_paused = context.perform_substitution(LaunchConfiguration("paused")) == "true"
        return [paused if begins_paused else player]

    return LaunchDescription(
        [
            *ARGUMENTS,
            check_arguments("replay.launch.py", ARGUMENTS),
            check_paths("params_file"),
            OpaqueFunction(function=_check_rate),
            end_together("replay.launch.py", [predictor], last=[player, paused], before=[ready]),
            RegisterEventHandler(OnProcessExit(target_action=ready, on_exit=begin)),
            GroupAction([PushRosNamespace(namespace), predictor]),
            ready,
        ]
    )


def _check_rate(context) -> None:
    given = context.perform_substitution(LaunchConfiguration("rate"))
    try:
        fits = float(given) > 0.0
    except ValueError:
        fits = False
    if not fits:
        raise LaunchError(f"rate:={given}: must be a number above 0")
