"""Outcomes, failure types and forecast horizons; the numbers are those of EpisodeStatus.msg."""

from enum import IntEnum


class FailureType(IntEnum):
    """How an episode failed; equal to the FAILURE_* constants of EpisodeStatus.msg."""

    NONE = 0
    COLLISION = 1
    """The arm touches anything but the object with more than the threshold's force."""
    DROP = 2
    """A grasped object leaves the gripper before the goal."""
    MISS = 3
    """The gripper closes without the object, or lifts without it."""
    TIMEOUT = 4
    """No success within the episode's steps."""


class Outcome(IntEnum):
    """State of an episode; equal to the STATE_* constants of EpisodeStatus.msg."""

    RUNNING = 0
    SUCCEEDED = 1
    FAILED = 2
    ABORTED = 3
    """Ended from outside: whether it would have failed is not known."""


FAILURE_TYPES: tuple[FailureType, ...] = tuple(FailureType)[1:]
"""The types in the order of labels and probabilities: index k is FailureType k + 1."""

FAILURE_NAMES: tuple[str, ...] = tuple(failure.name.lower() for failure in FAILURE_TYPES)
"""Their names, in the same order."""

HORIZONS_S: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5)
"""Forecast horizons [s], ascending."""
