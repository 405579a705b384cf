# SPDX-License-Identifier: Apache-2.0
"""Collect labelled episodes: world, referee, policy, predictor, supervisor and recorder.

Ends by itself after `episodes` episodes; a node that fails ends everything with exit code 1.
"""

from launch import LaunchDescription
from launch.actions import GroupAction, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import PushRosNamespace

from salus.launch_common import (
    LaunchError,
    argument,
    check_arguments,
    check_numbers,
    check_paths,
    common_arguments,
    end_together,
    node,
    path,
    predictor_checkpoint,
    supervisors,
    switch,
    typed,
)

ARGUMENTS = [
    argument("episodes", "3", "Episodes to collect."),
    argument("seed", "0", "Seed of the first episode; each next one counts up."),
    argument("output", "runs", "Folder of runs; relative to the current one."),
    argument("simulator", "mujoco", "World.", ["mujoco", "isaac"]),
    switch("headless", "true", "Isaac Sim: whether to run without a window."),
    argument("gpu", "0", "Isaac Sim: number of the GPU that renders and simulates."),
    argument("policy", "embedded", "Policy backend, by name."),
    argument("checkpoint", "default", "Checkpoint of the policy: name, folder or hub id."),
    argument(
        "predictor",
        "default",
        "Checkpoint of the predictor; default: the one that ships for the default policy, none "
        "with others; none: no forecasts.",
    ),
    argument("difficulty", "standard", "Difficulty of the scenes: easy, standard or hard."),
    argument(
        "faults",
        "none",
        "Profile of injected faults: none, light, mixed, heavy, or one kind (arm_force, "
        "object_force, object_slip, sensor_noise, lighting).",
    ),
    switch(
        "lockstep",
        "true",
        "Whether the world waits for each command; else it runs at 30 Hz by the wall clock.",
    ),
    argument(
        "interventions",
        "",
        "Act on the forecasts by this table ('tabletop', or a file), and hold without a forecast; "
        "empty: as params_file says.",
    ),
    switch("record", "true", "Whether to record."),
    *common_arguments("collect.yaml", use_sim_time="true"),
]


def check_simulator(context) -> None:
    """Refuse Isaac Sim where it cannot start, with what to install."""
    if context.perform_substitution(LaunchConfiguration("simulator")) == "isaac":
        from salus_isaac import preflight  # only here: who drives MuJoCo needs no bridge

        problems = preflight.missing()
        if problems:
            raise LaunchError(preflight.report(problems))


def simulator_is(name: str) -> IfCondition:
    """Whether `simulator` has this value."""
    return IfCondition(PythonExpression(["'", LaunchConfiguration("simulator"), f"' == '{name}'"]))


def generate_launch_description() -> LaunchDescription:
    """Describe the collection of episodes."""
    runner = node(
        "salus_sim",
        "episode_runner",
        "episode_runner",
        {
            "episodes": typed("episodes", int),
            "seed": typed("seed", int),
            "record": typed("record", bool),
            "use_sim_time": False,  # it looks at the wall clock only
        },
    )
    world = {
        "use_sim_time": False,  # it makes the time
        "difficulty": typed("difficulty", str),
        "fault_profile": typed("faults", str),
        "lockstep": typed("lockstep", bool),
    }
    nodes = [
        node("salus_sim", "world_node", "world", world, condition=simulator_is("mujoco")),
        node(
            "salus_isaac",
            "isaac_world",
            "world",
            world,
            arguments=[
                *("--headless", LaunchConfiguration("headless")),
                *("--gpu", LaunchConfiguration("gpu")),
            ],
            condition=simulator_is("isaac"),
        ),
        node("salus_sim", "referee_node", "referee", {}),
        node(
            "salus_vla_node",
            "vla_node",
            "vla",
            {"backend": typed("policy", str), "checkpoint": typed("checkpoint", str)},
        ),
        node(
            "salus_predictor_node",
            "predictor_node",
            "predictor",
            {"checkpoint": predictor_checkpoint()},
        ),
        *supervisors(),
        node(
            "salus_recorder",
            "recorder_node",
            "recorder",
            {"output": path("output")},
            condition=IfCondition(LaunchConfiguration("record")),
        ),
        runner,
    ]
    return LaunchDescription(
        [
            *ARGUMENTS,
            check_arguments("collect.launch.py", ARGUMENTS),
            check_numbers("episodes", "seed", "gpu"),
            check_paths("params_file"),
            OpaqueFunction(function=check_simulator),
            end_together("collect.launch.py", nodes, last=[runner]),
            GroupAction([PushRosNamespace(LaunchConfiguration("namespace")), *nodes]),
        ]
    )
