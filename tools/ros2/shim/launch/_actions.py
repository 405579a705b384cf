# SPDX-License-Identifier: Apache-2.0
"""Actions of Python launch files, except for processes."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from . import _event_handlers as event_handlers
from ._core import (
    Action,
    Event,
    LaunchContext,
    LaunchDescription,
    LaunchDescriptionEntity,
    SomeSubstitutionsType,
    normalize,
    perform,
)
from ._launch_description_sources import LaunchDescriptionSource, PythonLaunchDescriptionSource
from .events import Shutdown as ShutdownEvent
from .events.process import ProcessExited
from .logging import get_logger

Entities = list[LaunchDescriptionEntity]


class DeclareLaunchArgument(Action):
    """Declares an argument, with its description, default and choices."""

    def __init__(
        self,
        name: str,
        *,
        default_value: SomeSubstitutionsType | None = None,
        description: str | None = None,
        choices: Iterable[str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.name = name
        self.default_value = None if default_value is None else normalize(default_value)
        self.choices = None if choices is None else list(choices)
        self.description = description or "no description given"
        self.conditionally_included = False
        if self.choices is not None:
            if isinstance(default_value, str) and default_value not in self.choices:
                raise RuntimeError(
                    f'Provided default_value "{default_value}" is not in provided choices '
                    f'"{self.choices}".'
                )
            if description is None:
                self.description = f"One of: {self.choices}"
            else:
                stop = "" if description.endswith(".") else "."
                self.description = f"{description}{stop} Valid choices are: {self.choices}"

    def execute(self, context: LaunchContext) -> None:
        """Set the default if no value was given, and check the choices.

        Raises:
            RuntimeError: a required argument has no value, or the value is none of the choices.
        """
        context.declared.add(self.name)
        if self.name not in context.launch_configurations:
            if self.default_value is None:
                raise RuntimeError(
                    f'Required launch argument "{self.name}" (description: '
                    f'"{self.description}") was not provided.'
                )
            context.launch_configurations[self.name] = perform(context, self.default_value)
        value = context.launch_configurations[self.name]
        if self.choices is not None and value not in self.choices:
            raise RuntimeError(
                f'Argument "{self.name}" provided value "{value}" is not valid. '
                f"Valid options are: {self.choices}"
            )


class SetLaunchConfiguration(Action):
    """Sets the value of an argument."""

    def __init__(self, name: SomeSubstitutionsType, value: SomeSubstitutionsType, **kwargs: Any):
        super().__init__(**kwargs)
        self._name, self._value = normalize(name), normalize(value)

    def execute(self, context: LaunchContext) -> None:
        """Set it."""
        context.launch_configurations[perform(context, self._name)] = perform(context, self._value)


class SetEnvironmentVariable(Action):
    """Sets a variable in the environment of the processes that follow."""

    def __init__(self, name: SomeSubstitutionsType, value: SomeSubstitutionsType, **kwargs: Any):
        super().__init__(**kwargs)
        self._name, self._value = normalize(name), normalize(value)

    def execute(self, context: LaunchContext) -> None:
        """Set it."""
        context.environment[perform(context, self._name)] = perform(context, self._value)


class UnsetEnvironmentVariable(Action):
    """Removes a variable from the environment of the processes that follow."""

    def __init__(self, name: SomeSubstitutionsType, **kwargs: Any):
        super().__init__(**kwargs)
        self._name = normalize(name)

    def execute(self, context: LaunchContext) -> None:
        """Remove it."""
        context.environment.pop(perform(context, self._name), None)


class OpaqueFunction(Action):
    """Calls function(context, *args, **kwargs), which may return entities."""

    def __init__(
        self,
        *,
        function: Callable[..., Entities | None],
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        **action_kwargs: Any,
    ):
        super().__init__(**action_kwargs)
        self._call = (function, tuple(args), dict(kwargs or {}))

    def execute(self, context: LaunchContext) -> Entities | None:
        """Call it."""
        function, args, kwargs = self._call
        return function(context, *args, **kwargs)


class _Closing(LaunchDescriptionEntity):
    """Runs a function when the entities before it have been visited."""

    def __init__(self, function: Callable[[], Any]):
        self._function = function

    def visit(self, context: LaunchContext) -> None:
        self._function()


class IncludeLaunchDescription(Action):
    """Includes another description, with arguments."""

    def __init__(
        self,
        launch_description_source: LaunchDescriptionSource | SomeSubstitutionsType,
        *,
        launch_arguments: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]] = (),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not isinstance(launch_description_source, LaunchDescriptionSource):
            launch_description_source = PythonLaunchDescriptionSource(launch_description_source)
        self._source = launch_description_source
        self._arguments = [(normalize(name), normalize(value)) for name, value in launch_arguments]

    def sub_entities(self) -> Entities:
        """Return the included description if its path needs no context."""
        try:
            return [self._source.get_launch_description(LaunchContext())]
        except (RuntimeError, OSError) as error:
            get_logger().debug(f"an include cannot be read without being executed: {error}")
            return []

    def argument_names_without_context(self) -> frozenset[str]:
        """Return the names of the arguments that the include sets."""
        return frozenset(perform(LaunchContext(), name) for name, _ in self._arguments)

    def execute(self, context: LaunchContext) -> Entities:
        """Set the arguments and return the description.

        Raises:
            RuntimeError: the included description needs an argument that is not given.
        """
        description = self._source.get_launch_description(context)
        given = [perform(context, name) for name, _ in self._arguments]
        if self._source.path is not None:
            context.launch_files.append(self._source.path)
        for argument in description.get_launch_arguments():
            if (
                argument.default_value is None
                and not argument.conditionally_included
                and argument.name not in [*given, *context.launch_configurations]
            ):
                raise RuntimeError(
                    f"Included launch description missing required argument '{argument.name}' "
                    f"(description: '{argument.description}'), given: [{', '.join(given)}]"
                )
        entities = [SetLaunchConfiguration(name, value) for name, value in self._arguments]
        closing = [_Closing(context.launch_files.pop)] if self._source.path is not None else []
        return [*entities, description, *closing]


class GroupAction(Action):
    """Visits actions in a scope of their own (configurations, environment, namespace)."""

    def __init__(
        self,
        actions: Iterable[Action],
        *,
        scoped: bool = True,
        forwarding: bool = True,
        launch_configurations: dict[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._actions = list(actions)
        self._scoped, self._forwarding = scoped, forwarding
        self._configurations = dict(launch_configurations or {})

    def sub_entities(self) -> Entities:
        """Return the actions."""
        return self._actions

    def execute(self, context: LaunchContext) -> Entities:
        """Open the scope and return the actions and what closes it."""
        kept = [SetLaunchConfiguration(*item) for item in self._configurations.items()]
        if not self._scoped:
            return [*kept, *self._actions]
        context.push_scope()
        if not self._forwarding:
            values = {
                perform(context, k): perform(context, v) for k, v in self._configurations.items()
            }
            context.launch_configurations = values
            kept = []
        return [*kept, *self._actions, _Closing(context.pop_scope)]


class LogInfo(Action):
    """Prints a message."""

    def __init__(self, *, msg: SomeSubstitutionsType, **kwargs: Any):
        super().__init__(**kwargs)
        self._message = normalize(msg)

    def execute(self, context: LaunchContext) -> None:
        """Print it."""
        get_logger("launch.user").info(perform(context, self._message))


class EmitEvent(Action):
    """Emits an event."""

    def __init__(self, *, event: Event, **kwargs: Any):
        super().__init__(**kwargs)
        self._event = event

    def execute(self, context: LaunchContext) -> None:
        """Queue it."""
        context.emit_event_sync(self._event)


class Shutdown(EmitEvent):
    """Ends everything."""

    def __init__(self, *, reason: str = "reason not given", **kwargs: Any):
        super().__init__(event=ShutdownEvent(reason=reason), **kwargs)

    def execute(self, context: LaunchContext) -> None:
        """Queue the event, and say so if the end of a process is what asks for it."""
        if isinstance(context.event, ProcessExited):
            name = context.event.process_name
            get_logger().info(f"process[{name}] was required: shutting down launched system")
        super().execute(context)


class RegisterEventHandler(Action):
    """Registers an event handler."""

    def __init__(self, event_handler: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self._handler = event_handler

    def execute(self, context: LaunchContext) -> None:
        """Register it."""
        context.register_event_handler(self._handler)


class UnregisterEventHandler(RegisterEventHandler):
    """Removes an event handler."""

    def execute(self, context: LaunchContext) -> None:
        """Remove it."""
        context.unregister_event_handler(self._handler)


class _TimerFired(Event):
    """A timer's period has passed (internal)."""

    def __init__(self, timer: "TimerAction"):
        self.timer = timer


class TimerAction(Action):
    """Visits actions after a period [s]; cancelled by a shutdown."""

    def __init__(
        self, *, period: float | SomeSubstitutionsType, actions: Iterable[Any], **kwargs: Any
    ):
        super().__init__(**kwargs)
        self._period = normalize(str(period) if isinstance(period, (int, float)) else period)
        self._actions = list(actions)
        self._task: asyncio.Task | None = None

    def sub_entities(self) -> Entities:
        """Return the actions."""
        return self._actions

    def execute(self, context: LaunchContext) -> None:
        """Start the timer."""
        period = float(perform(context, self._period))

        async def wait() -> None:
            await asyncio.sleep(period)
            context.emit_event_sync(_TimerFired(self))

        def fired(event: Event) -> bool:
            return isinstance(event, _TimerFired) and event.timer is self

        self._task = context.create_task(wait())
        self.register(context, fired)

    def register(self, context: LaunchContext, fired: Callable[[Event], bool]) -> None:
        """Register what happens when the time has come, and at a shutdown before it."""
        description = LaunchDescription(self._actions)
        context.register_event_handler(
            event_handlers.EventHandler(matcher=fired, entities=[description])
        )
        context.register_event_handler(
            event_handlers.OnShutdown(on_shutdown=lambda event, context: self.cancel())
        )

    def cancel(self) -> None:
        """Stop the timer if it still runs."""
        if self._task is not None:
            self._task.cancel()
