# SPDX-License-Identifier: Apache-2.0
"""What the launch files of SALUS share: arguments, nodes, and how everything ends."""

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from launch import Action, Condition, LaunchContext, Substitution
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

# Exit codes of a process that was stopped before it could catch the signal.
STOPPED = (0, -2, -15, 130, 143)

REFUSED = 1
"""Exit code of a node that refuses to start."""

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")

# Arguments that launch itself reads.
OF_LAUNCH = ("launch-prefix", "launch-prefix-filter", "sigterm_timeout", "sigkill_timeout")


class LaunchError(RuntimeError):
    """Something launched ended when it should not, or was asked for what is not there."""


def argument(
    name: str, default: Any, description: str, choices: Iterable[str] | None = None
) -> DeclareLaunchArgument:
    """Declare a launch argument with its default and description."""
    return DeclareLaunchArgument(
        name, default_value=default, description=description, choices=choices
    )


def switch(name: str, default: str, description: str) -> DeclareLaunchArgument:
    """Declare a launch argument that is true or false."""
    return argument(name, default, description, ["true", "false"])


def common_arguments(params_file: str, use_sim_time: str) -> list[DeclareLaunchArgument]:
    """Arguments that every launch file of SALUS has.

    Args:
        params_file: name of the default in the package's folder config.
        use_sim_time: "true" or "false", the default.
    """
    return [
        argument("namespace", "salus", "Namespace of all nodes and topics."),
        argument(
            "params_file",
            PathJoinSubstitution([FindPackageShare("salus"), "config", params_file]),
            "Parameters of the nodes that have no launch argument.",
        ),
        argument(
            "on_exit",
            "auto",
            "When a process of SALUS ends: 'shutdown' ends everything that was launched, 'report' "
            "only says so; auto: shutdown, unless another launch file includes this one.",
            ("auto", "shutdown", "report"),
        ),
        argument("log_level", "info", "Least severity that is logged.", LOG_LEVELS),
        switch("use_sim_time", use_sim_time, "Whether nodes take the time from the clock topic."),
        argument(
            "clock",
            "/clock",
            "Topic of the clock; 'clock' is relative to the namespace, for several worlds at once.",
        ),
    ]


def typed(name: str, value_type: type) -> ParameterValue:
    """A launch argument as a parameter's value of a certain type."""
    return ParameterValue(LaunchConfiguration(name), value_type=value_type)


def path(name: str) -> "AbsolutePath":
    """A launch argument as an absolute path."""
    return AbsolutePath(name)


class AbsolutePath(Substitution):
    """A launch argument that is a path: `~` expanded, relative to where launch was started."""

    def __init__(self, name: str):
        super().__init__()
        self._name = name

    def perform(self, context: LaunchContext) -> str:
        """Return the absolute path."""
        given = context.perform_substitution(LaunchConfiguration(self._name))
        return os.path.abspath(os.path.expanduser(given))


def predictor_checkpoint() -> ParameterValue:
    """The launch argument `predictor` as a parameter's value; see ShippedPredictor."""
    return ParameterValue(ShippedPredictor(), value_type=str)


def supervisors() -> list[Node]:
    """The supervisor: as the file of parameters says, or acting where `interventions` is given."""

    def given(context: LaunchContext) -> bool:
        return bool(context.perform_substitution(LaunchConfiguration("interventions")))

    acting = {
        "mode": "intervene",
        "without_forecast": "hold",
        "interventions": typed("interventions", str),
    }
    return [
        node(
            "salus_supervisor",
            "supervisor_node",
            "supervisor",
            parameters,
            condition=Condition(predicate=predicate),
        )
        for parameters, predicate in (({}, lambda context: not given(context)), (acting, given))
    ]


class ShippedPredictor(Substitution):
    """The launch argument `predictor`: a checkpoint, `none`, or `default`.

    `default` is the predictor that was trained on the policy that ships. For another policy its
    numbers would mean nothing: with one, `default` is none.
    """

    def perform(self, context: LaunchContext) -> str:
        """Return a checkpoint of the predictor node, or an empty string."""
        given, *policy = (
            context.perform_substitution(LaunchConfiguration(name))
            for name in ("predictor", "policy", "checkpoint")
        )
        foreign = policy != ["embedded", "default"]
        return "" if given == "none" or (given == "default" and foreign) else given


def node(
    package: str,
    executable: str,
    name: str,
    parameters: Mapping[str, Any],
    remappings: Iterable[tuple[str, Substitution]] = (),
    overrides: Iterable[Substitution] = (),
    **kwargs: Any,
) -> Node:
    """One node of SALUS with the parameter file, then `parameters`, then files that override."""
    return Node(
        package=package,
        executable=executable,
        name=name,
        parameters=[
            LaunchConfiguration("params_file"),
            {"use_sim_time": typed("use_sim_time", bool), **parameters},
            *overrides,
        ],
        remappings=[("/clock", LaunchConfiguration("clock")), *remappings],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
        # Launch gives 5 s before it terminates: too little on a busy machine, or for a last commit.
        sigterm_timeout="30",
        **kwargs,
    )


def end_together(
    launch_file: str,
    own: Iterable[Action],
    last: Iterable[Action] = (),
    before: Iterable[Action] = (),
    watching: Iterable[Action] = (),
) -> RegisterEventHandler:
    """End everything with any of SALUS's own processes; with an error unless it is one of `last`.

    Processes of other launch files are never looked at: in somebody's bring-up a controller
    spawner may end whenever it likes. There, SALUS's launch file is included, and ends nothing
    itself: it says what ended. The argument `on_exit` chooses one or the other.

    Args:
        launch_file: name of the launch file that this is for.
        own: the processes that it starts.
        last: those whose good end (code 0) is the good end of all.
        before: those whose good end ends nothing.
        watching: those without which the others go on, unless they refused to start (code 1).
    """
    last, before, watching = tuple(last), tuple(before), tuple(watching)
    own = (*own, *last, *before)

    def on_exit(event: Any, context: LaunchContext) -> Shutdown | LogInfo | None:
        if event.action not in own or (event.returncode == 0 and event.action in before):
            return None
        if context.is_shutdown:
            # The code of `last` only says then that it was not done yet.
            if event.returncode not in STOPPED and event.action not in last:
                raise LaunchError(f"{event.process_name} ended with code {event.returncode}")
            return None
        good = event.returncode == 0 and event.action in last
        said = f"{event.process_name} is done"
        if not good:
            said = (
                f"{event.process_name} ended with code {event.returncode}: see its messages above"
            )
        if not good and event.returncode == 0:
            said = f"{event.process_name} ended before it was told to"
        if not good and event.action in watching and event.returncode != REFUSED:
            return LogInfo(msg=f"[{launch_file}] {said}; the others go on without it")
        if not _ends_all(launch_file, context):
            return LogInfo(msg=f"[{launch_file}] {said}; the other processes go on (on_exit)")
        if good:
            return Shutdown(reason=said)
        raise LaunchError(said)

    return RegisterEventHandler(OnProcessExit(on_exit=on_exit))


def _ends_all(launch_file: str, context: LaunchContext) -> bool:
    given = context.perform_substitution(LaunchConfiguration("on_exit"))
    return given == "shutdown" or (given == "auto" and _is_launched(launch_file))


def _is_launched(launch_file: str) -> bool:
    """Whether a launch file is the one on the command line, not one that another includes."""
    return launch_file in map(os.path.basename, sys.argv)


def check_arguments(launch_file: str, declared: Iterable[DeclareLaunchArgument]) -> OpaqueFunction:
    """Refuse launch arguments that nobody declared: launch itself ignores a misspelled one.

    Only where the launch file is the one on the command line: what includes it has its own.

    Args:
        launch_file: name of the launch file.
        declared: its arguments.

    Returns:
        An action that raises LaunchError, naming the closest argument.
    """
    known = [action.name for action in declared]

    def check(context: LaunchContext) -> None:
        if not _is_launched(launch_file):
            return
        for given in context.argv:
            name, separator, _ = given.partition(":=")
            if not separator or name in known or name in OF_LAUNCH:
                continue
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else "see --show-args"
            raise LaunchError(f"unknown launch argument '{name}': {hint}")

    return OpaqueFunction(function=check)


def check_paths(*names: str) -> OpaqueFunction:
    """Refuse launch arguments that should be files and are not."""
    return _check(names, os.path.isfile, "no such file")


def check_numbers(*names: str) -> OpaqueFunction:
    """Refuse launch arguments that should be natural numbers and are not."""
    return _check(names, str.isdecimal, "not a natural number")


def _check(names: Iterable[str], fits: Callable[[str], bool], problem: str) -> OpaqueFunction:
    def check(context: LaunchContext) -> None:
        for name in names:
            given = context.perform_substitution(LaunchConfiguration(name))
            if not fits(given):
                raise LaunchError(f"{name}:={given}: {problem}")

    return OpaqueFunction(function=check)
