# SPDX-License-Identifier: Apache-2.0
"""What a run holds of each episode: its start, its end, and their arrays."""

from dataclasses import dataclass, field
from typing import Any

from salus_core.episode_store.columns import ColumnSpec
from salus_core.failures import Outcome

POSE_NAMES = ("x", "y", "z", "qx", "qy", "qz", "qw")


class SchemaError(ValueError):
    """A run cannot be described this way; the message names the field."""


def _episode(
    name: str, dtype: str, shape: tuple[int, ...] = (), fill: Any = 0, **attributes: Any
) -> ColumnSpec:
    return ColumnSpec(f"meta/episode/{name}", dtype, shape, fill, attributes=attributes)


EPISODE_ENDS = ColumnSpec(
    "meta/episode_ends",
    "i8",
    attributes={"about": "first row after each episode; an episode counts once its end is here"},
)

EPISODE_COLUMNS = (
    _episode("number", "u4", about="the world's count of resets"),
    _episode("seed", "u8"),
    _episode("instruction", "string"),
    _episode("task", "string", about="what the instruction asks for; empty: unknown"),
    _episode("difficulty", "string"),
    _episode("fault_profile", "string"),
    _episode("faults", "string", about="JSON list of injected faults, in order of onset"),
    _episode("target_object", "string"),
    _episode("goal_pose", "f8", (7,), float("nan"), components=POSE_NAMES),
    _episode("goal_radius", "f4", unit="m"),
    _episode("max_steps", "u4"),
    _episode("lockstep", "bool", fill=False),
    _episode("outcome", "u1", values=[outcome.name.lower() for outcome in Outcome]),
    _episode("failure_type", "u1", about="place in failure_names, from 1; 0: none"),
    _episode("onset_step", "i4", fill=-1, about="-1: no failure; may equal length"),
    _episode("length", "u4", about="steps"),
    _episode("gaps", "u4", about="steps that lack a required message"),
    _episode("intervened", "bool", fill=False, about="the supervisor changed an action"),
    _episode("commands_missed", "u4", about="control periods that passed without a command"),
    _episode("predictor", "string", about="checkpoint that made the forecasts; empty: none"),
    _episode("predictor_hash", "string"),
    _episode("start_time", "f8", unit="s", about="wall clock, since 1970-01-01 UTC"),
)


@dataclass(frozen=True)
class Fault:
    """An injected fault; fields as in Fault.msg."""

    kind: str
    magnitude: float
    unit: str
    onset_step: int
    duration_steps: int


@dataclass(frozen=True)
class EpisodeStart:
    """What an episode starts from; fields as in EpisodeSetup.msg."""

    number: int
    seed: int = 0
    instruction: str = ""
    task: str = ""
    difficulty: str = ""
    fault_profile: str = ""
    target_object: str = ""
    goal_pose: tuple[float, ...] = (float("nan"),) * 7
    goal_radius: float = float("nan")
    max_steps: int = 0
    lockstep: bool = False


@dataclass(frozen=True)
class EpisodeEnd:
    """How an episode ended.

    Attributes:
        length: its steps; rows 0 to length - 1 are stored.
        failure: code of its type in the run's taxonomy; 0: none.
        onset_step: -1 exactly if there was no failure; may equal `length`, as the observation in
            which the failure is seen is not a row.
        faults: injected.
        commands_missed: control periods that passed without a command.
        predictor: identity of the checkpoint that made the forecasts.
    """

    length: int
    outcome: Outcome
    failure: int = 0
    onset_step: int = -1
    faults: tuple[Fault, ...] = field(default=())
    commands_missed: int = 0
    predictor: str = ""
    predictor_hash: str = ""

    def __post_init__(self) -> None:
        if self.outcome == Outcome.RUNNING:
            raise SchemaError("an episode that is still running has no end")
        failed = self.outcome == Outcome.FAILED
        if failed != (self.failure != 0):
            raise SchemaError(
                f"outcome {self.outcome.name} contradicts failure type {int(self.failure)}"
            )
        if failed != (self.onset_step >= 0) or self.onset_step > self.length:
            raise SchemaError(
                f"onset_step {self.onset_step} does not fit outcome {self.outcome.name} "
                f"after {self.length} steps"
            )
