"""What a run holds: the arrays, their meaning, and what must not change within it."""

from dataclasses import asdict, dataclass, field
from typing import Any

from salus_core.episode_store.columns import ColumnSpec
from salus_core.failures import FAILURE_NAMES, HORIZONS_S, FailureType, Outcome

SCHEMA_VERSION = 2

JOINT_NAMES = (
    *(f"panda_joint{i}" for i in range(1, 8)),
    "panda_finger_joint1",
    "panda_finger_joint2",
)
"""Joints of the embedded world, in the order of `state`."""

ACTION_NAMES = ("x", "y", "z", "rotation_x", "rotation_y", "rotation_z", "gripper")
ACTION_UNITS = ("m", "m", "m", "rad", "rad", "rad", "1")
POSE_NAMES = ("x", "y", "z", "qx", "qy", "qz", "qw")

FORECAST_STATUS_NAMES = (
    "ok",
    "warming_up",
    "stale_input",
    "invalid_input",
    "no_checkpoint",
)
INTERVENTION_NAMES = ("pass", "slow_down", "hold", "retry", "recover", "ask_for_help")
NO_MESSAGE = 255
"""Value of `forecast_status` and `intervention` at a step for which no message came."""


class SchemaError(ValueError):
    """A run cannot be described this way; the message names the field."""


@dataclass(frozen=True)
class Camera:
    """One camera's name and image size [px]."""

    name: str
    height: int
    width: int


@dataclass(frozen=True)
class RunSchema:
    """What all episodes of one run have in common. A change of any of it needs a new run.

    Attributes:
        cameras: whose images are stored; may be empty.
        joint_names: J joints, in the order of `state`.
        object_names: every object of the world, in the order of `object_pose`.
        signal_names: of the S signals, with units, definitions and whether this policy can give
            them.
        action_units: of the seven action dimensions.
        action_scale: one normalised action unit per dimension; empty if there is no policy.
        signal_window: steps of the windowed signals.
        embedding_size: 0 if the policy gives no embedding.
        chunk_shape: (members, chunk length, 7), or zeros if the policy gives no chunks.
        control_period: seconds per step.
        backend: name of the policy backend; empty: no policy is recorded.
        policy: identity of the policy's checkpoint.
        policy_hash: SHA-256 over its weights.
        members: of the ensemble.
        member_kind: "checkpoints", "samples" or "single".
        schema_hash: SignalInfo's: equal means comparable signals.
    """

    control_period: float
    signal_names: tuple[str, ...]
    signal_units: tuple[str, ...]
    signal_definitions: tuple[str, ...]
    signal_available: tuple[bool, ...]
    cameras: tuple[Camera, ...] = ()
    joint_names: tuple[str, ...] = JOINT_NAMES
    object_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ACTION_NAMES
    action_units: tuple[str, ...] = ACTION_UNITS
    action_scale: tuple[float, ...] = ()
    signal_window: int = 0
    embedding_size: int = 0
    chunk_shape: tuple[int, int, int] = (0, 0, 0)
    backend: str = ""
    policy: str = ""
    policy_hash: str = ""
    members: int = 0
    member_kind: str = ""
    schema_hash: str = ""

    def __post_init__(self) -> None:
        count = len(self.signal_names)
        for name in ("signal_units", "signal_definitions", "signal_available"):
            if len(getattr(self, name)) != count:
                raise SchemaError(
                    f"{name} has {len(getattr(self, name))} entries for {count} signal_names"
                )
        if not self.control_period > 0:
            raise SchemaError(f"control_period must be positive: {self.control_period}")
        for name, values in (
            ("cameras", [camera.name for camera in self.cameras]),
            ("object_names", self.object_names),
            ("joint_names", self.joint_names),
        ):
            if len(set(values)) != len(values):
                raise SchemaError(f"{name} holds a name twice: {', '.join(values)}")

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the columns of `state`."""
        return (
            *(f"position.{name}" for name in self.joint_names),
            *(f"velocity.{name}" for name in self.joint_names),
            *(f"tool.{name}" for name in POSE_NAMES),
        )

    def attributes(self) -> dict[str, Any]:
        """Attributes of data.zarr's root group."""
        return {
            "salus_schema_version": SCHEMA_VERSION,
            **asdict(self),
            "rate": 1.0 / self.control_period,
            "state_names": self.state_names,
            "failure_names": FAILURE_NAMES,
            "horizons": HORIZONS_S,
        }

    def data_columns(self) -> tuple[ColumnSpec, ...]:
        """Arrays with one row per step; the keys are below data.zarr/data."""
        nan = float("nan")
        action = {"names": self.action_names, "units": self.action_units}
        signals = {"names": self.signal_names, "units": self.signal_units}
        n_signals, n_objects = len(self.signal_names), len(self.object_names)
        columns = [
            _step("timestamp", "f8", (), nan, unit="s", about="stamp of the observation"),
            _step("step", "i4", (), 0, about="number of the step within its episode"),
            _step("complete", "bool", (), False, about="every required message came"),
            _step("action", "f8", (7,), nan, about="proposed by the policy", **action),
            _step("command", "f8", (7,), nan, about="executed by the robot", **action),
            _step("action_std", "f4", (7,), nan, about="spread of the members", **action),
            _step(
                "state",
                "f8",
                (len(self.state_names),),
                nan,
                names=self.state_names,
                about="joints [rad, m, rad/s, m/s], tool pose [m, quaternion]",
            ),
            _step("signals", "f4", (n_signals,), nan, about="NaN where not valid", **signals),
            _step("signals_valid", "bool", (n_signals,), False, names=self.signal_names),
            _step("gripper_width", "f4", (), nan, unit="m"),
            _step("gripper_command", "f4", (), nan, unit="1", about="0 closed .. 1 open"),
            _step("contact_force", "f4", (), nan, unit="N"),
            _step(
                "grasped_object", "i2", (), -1, about="index into object_names; -1: none or unknown"
            ),
            _step(
                "forecast",
                "f4",
                (len(HORIZONS_S) * len(FAILURE_NAMES),),
                nan,
                about="probabilities in C order (horizon, type); NaN: no forecast",
                horizons=HORIZONS_S,
                failure_names=FAILURE_NAMES,
            ),
            _step(
                "forecast_status",
                "u1",
                (),
                NO_MESSAGE,
                values=FORECAST_STATUS_NAMES,
                about=f"{NO_MESSAGE}: no message",
            ),
            _step("forecast_risk", "f4", (), nan, about="any failure within the longest horizon"),
            _step("forecast_score", "f4", (), nan, about="compared with forecast_band"),
            _step("forecast_band", "f4", (), nan, about="upper edge of the conformal band"),
            _step("alarm", "bool", (), False),
            _step(
                "intervention",
                "u1",
                (),
                NO_MESSAGE,
                values=INTERVENTION_NAMES,
                about=f"{NO_MESSAGE}: no message",
            ),
        ]
        if n_objects:
            columns.append(
                _step(
                    "object_pose",
                    "f8",
                    (n_objects, 7),
                    nan,
                    names=self.object_names,
                    components=POSE_NAMES,
                    about="NaN: not present",
                )
            )
        if self.embedding_size:
            columns.append(_step("embedding", "f4", (self.embedding_size,), nan))
        if all(self.chunk_shape):
            columns.append(
                _step(
                    "chunk",
                    "f4",
                    self.chunk_shape,
                    nan,
                    about="action chunks (member, step ahead, action dimension)",
                    **action,
                )
            )
        columns += [
            ColumnSpec(
                key=f"data/image/{camera.name}",
                dtype="u1",
                shape=(camera.height, camera.width, 3),
                chunk_rows=4,
                shard_rows=256,
                attributes={"encoding": "rgb8"},
            )
            for camera in self.cameras
        ]
        return tuple(columns)


def _step(
    name: str, dtype: str, shape: tuple[int, ...], fill: Any, **attributes: Any
) -> ColumnSpec:
    return ColumnSpec(f"data/{name}", dtype, shape, fill, attributes=attributes)


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
    _episode("failure_type", "u1", values=[failure.name.lower() for failure in FailureType]),
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
        onset_step: -1 exactly if there was no failure; may equal `length`, as the observation in
            which the failure is seen is not a row.
        faults: injected.
        commands_missed: control periods that passed without a command.
        predictor: identity of the checkpoint that made the forecasts.
    """

    length: int
    outcome: Outcome
    failure: FailureType = FailureType.NONE
    onset_step: int = -1
    faults: tuple[Fault, ...] = field(default=())
    commands_missed: int = 0
    predictor: str = ""
    predictor_hash: str = ""

    def __post_init__(self) -> None:
        if self.outcome == Outcome.RUNNING:
            raise SchemaError("an episode that is still running has no end")
        failed = self.outcome == Outcome.FAILED
        if failed != (self.failure != FailureType.NONE):
            raise SchemaError(
                f"outcome {self.outcome.name} contradicts failure {self.failure.name}"
            )
        if failed != (self.onset_step >= 0) or self.onset_step > self.length:
            raise SchemaError(
                f"onset_step {self.onset_step} does not fit outcome {self.outcome.name} "
                f"after {self.length} steps"
            )
