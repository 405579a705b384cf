# SPDX-License-Identifier: Apache-2.0
"""A subset of ROS 2's `launch` package, for machines where upstream's is not installed.

The names and the behaviour are those that Python launch files use; docs/launch.md says
what is left out. tools/ros2 puts it on sys.path only where `import launch` would fail.
"""

from . import (
    actions,
    conditions,
    event_handlers,
    events,
    launch_description_sources,
    substitutions,
    utilities,
)
from ._conditions import Condition
from ._core import (
    Action,
    Event,
    EventHandler,
    LaunchContext,
    LaunchDescription,
    LaunchDescriptionEntity,
    SomeSubstitutionsType,
    Substitution,
)
from ._launch_description_sources import LaunchDescriptionSource
from ._service import LaunchService

__all__ = [
    "Action",
    "Condition",
    "Event",
    "EventHandler",
    "LaunchContext",
    "LaunchDescription",
    "LaunchDescriptionEntity",
    "LaunchDescriptionSource",
    "LaunchService",
    "SomeSubstitutionsType",
    "Substitution",
    "actions",
    "conditions",
    "event_handlers",
    "events",
    "launch_description_sources",
    "substitutions",
    "utilities",
]
