# SPDX-License-Identifier: Apache-2.0
"""The entities of a launch description and the context in which they are visited."""

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

SomeSubstitutionsType = Any  # a text, a path, a Substitution, or an iterable of these


class Substitution:
    """Text that is only known when the description is executed."""

    def perform(self, context: "LaunchContext") -> str:
        """Return the text."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return what `--show-args` prints for it."""
        return f"{type(self).__name__}()"


class TextSubstitution(Substitution):
    """A plain text."""

    def __init__(self, *, text: str):
        if not isinstance(text, str):
            raise TypeError(f"TextSubstitution expected a str, got {text!r}")
        self.text = text

    def perform(self, context: "LaunchContext") -> str:
        """Return the text."""
        return self.text

    def describe(self) -> str:
        """Return the text in quotes."""
        return f"'{self.text}'"


def normalize(value: SomeSubstitutionsType) -> list[Substitution]:
    """Turn a text, a path, a substitution or an iterable of these into a list of substitutions."""
    if isinstance(value, Substitution):
        return [value]
    if isinstance(value, (str, Path)):
        return [TextSubstitution(text=str(value))]
    if isinstance(value, Iterable):
        return [part for item in value for part in normalize(item)]
    raise TypeError(f"expected a text, a path, a Substitution or a list of these, got {value!r}")


def perform(context: "LaunchContext", value: SomeSubstitutionsType) -> str:
    """Perform and concatenate everything in `value`."""
    return "".join(part.perform(context) for part in normalize(value))


class Event:
    """Something that happened; handlers match on its class."""


class LaunchDescriptionEntity:
    """Whatever can be part of a launch description."""

    def visit(self, context: "LaunchContext") -> "list[LaunchDescriptionEntity] | None":
        """Execute the entity and return the entities to visit next."""
        raise NotImplementedError

    def sub_entities(self) -> "list[LaunchDescriptionEntity]":
        """Return the entities that are known without executing it (for `--show-args`)."""
        return []


class Action(LaunchDescriptionEntity):
    """An entity with an intention, executed only if its condition holds."""

    def __init__(self, *, condition: Any = None):
        self.condition = condition

    def visit(self, context: "LaunchContext") -> list[LaunchDescriptionEntity] | None:
        """Execute the action if its condition holds."""
        if self.condition is None or self.condition.evaluate(context):
            return self.execute(context)
        return None

    def execute(self, context: "LaunchContext") -> list[LaunchDescriptionEntity] | None:
        """Do it; return further entities to visit."""
        raise NotImplementedError


class EventHandler:
    """Calls a function, or visits entities, for every event that matches."""

    def __init__(self, *, matcher: Callable[[Event], bool], entities: Any = None):
        self._matcher = matcher
        self._entities = entities

    def matches(self, event: Event) -> bool:
        """Return whether the event is meant for this handler."""
        return self._matcher(event)

    def handle(self, event: Event, context: "LaunchContext") -> Any:
        """Return the entities to visit: given, or returned by the given function."""
        if callable(self._entities):
            return self._entities(event, context)
        return self._entities


class LaunchDescription(LaunchDescriptionEntity):
    """A list of entities, visited in order."""

    def __init__(self, initial_entities: Iterable[LaunchDescriptionEntity] | None = None):
        self.entities = list(initial_entities or [])

    def visit(self, context: "LaunchContext") -> list[LaunchDescriptionEntity]:
        """Return the entities."""
        return self.entities

    def sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return the entities."""
        return self.entities

    def add_entity(self, entity: LaunchDescriptionEntity) -> None:
        """Append an entity."""
        self.entities.append(entity)

    add_action = add_entity

    def get_launch_arguments(self) -> list[Any]:
        """Return the DeclareLaunchArgument actions of this description and of its includes.

        An argument under a condition, or that an include sets, is marked or left out as
        `ros2 launch --show-args` prints it.
        """
        from ._actions import DeclareLaunchArgument, IncludeLaunchDescription

        found: dict[str, Any] = {}

        def walk(entities: Iterable[LaunchDescriptionEntity], hidden: frozenset, cond: bool):
            for entity in entities:
                conditional = cond or getattr(entity, "condition", None) is not None
                if isinstance(entity, DeclareLaunchArgument):
                    if entity.name not in hidden and entity.name not in found:
                        entity.conditionally_included = conditional
                        found[entity.name] = entity
                    continue
                inner = hidden
                if isinstance(entity, IncludeLaunchDescription):
                    inner = hidden | entity.argument_names_without_context()
                walk(entity.sub_entities(), inner, conditional)

        walk(self.entities, frozenset(), False)
        return list(found.values())


class LaunchContext:
    """What is known while a description is executed: configurations, environment, handlers."""

    def __init__(self, *, argv: Iterable[str] | None = None, noninteractive: bool = False):
        self.argv = list(argv or [])
        self.noninteractive = noninteractive
        self.launch_configurations: dict[str, Any] = {}
        self.environment: dict[str, str] = dict(os.environ)
        self.is_shutdown = False
        self.launch_files: list[Path] = []  # those being visited, innermost last
        self.declared: set[str] = set()  # names of all arguments that a description declared
        self.processes: list[Any] = []  # ExecuteProcess actions that run, in order of their start
        self.tasks: set[asyncio.Task] = set()  # what the service waits for
        self.event: Event | None = None  # the one being handled
        self.asyncio_loop: asyncio.AbstractEventLoop | None = None
        self._handlers: list[EventHandler] = []
        self._queue: asyncio.Queue | None = None
        self._scopes: list[tuple[dict, dict]] = []

    def perform_substitution(self, substitution: Substitution) -> str:
        """Perform one substitution."""
        return substitution.perform(self)

    def push_scope(self) -> None:
        """Remember configurations and environment."""
        self._scopes.append((dict(self.launch_configurations), dict(self.environment)))

    def pop_scope(self) -> None:
        """Restore configurations and environment."""
        self.launch_configurations, self.environment = self._scopes.pop()

    def register_event_handler(self, handler: EventHandler) -> None:
        """Add a handler; the newest is asked first."""
        self._handlers.insert(0, handler)

    def unregister_event_handler(self, handler: EventHandler) -> None:
        """Remove a handler."""
        self._handlers.remove(handler)

    def handlers_of(self, event: Event) -> list[EventHandler]:
        """Return the handlers that match an event."""
        return [handler for handler in self._handlers if handler.matches(event)]

    def start(self, queue: asyncio.Queue) -> None:
        """Attach the running event loop."""
        self._queue = queue
        self.asyncio_loop = asyncio.get_running_loop()

    def emit_event_sync(self, event: Event | None) -> None:
        """Queue an event; None only wakes the service."""
        if self._queue is None:
            raise RuntimeError("an event was emitted before the launch service ran")
        self._queue.put_nowait(event)

    def create_task(self, coroutine: Any) -> asyncio.Task:
        """Run a coroutine that the service must wait for; its exception ends the launch."""
        if self.asyncio_loop is None:
            raise RuntimeError("an action was executed before the launch service ran")
        task = self.asyncio_loop.create_task(coroutine)
        self.tasks.add(task)

        def done(_: asyncio.Task) -> None:
            self.tasks.discard(task)
            failed = not task.cancelled() and task.exception()
            self.emit_event_sync(TaskFailed(failed) if failed else None)

        task.add_done_callback(done)
        return task


class TaskFailed(Event):
    """A task of the launch service raised (internal)."""

    def __init__(self, exception: BaseException):
        self.exception = exception
