# SPDX-License-Identifier: Apache-2.0
"""What a run holds: the arrays, their meaning, and what must not change within it."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from salus_core.actions import TOOL_MOTION, ActionSpec
from salus_core.episode_store.columns import ColumnSpec
from salus_core.episode_store.episodes import EPISODE_COLUMNS, POSE_NAMES, SchemaError
from salus_core.failures import BUILT_IN, HORIZONS_S, Taxonomy, checked_horizons

SCHEMA_VERSION = 3
"""Of runs that are written; version 2 is read, too: see `versions`."""

MAX_EMBEDDING = 16_384
"""Bound of `embedding` in VlaSignals."""

MAX_CHUNK = 65_536
"""Bound of the numbers of `chunk` in VlaSignals."""


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
        action: the A dimensions of `action`, `command` and `action_std`.
        policy_action: the policy's own numbers, where they are others than `action`; None: they
            are not.
        taxonomy: the K failure types of the episodes and of `forecast`.
        horizons: [s], the H horizons of `forecast`. Labels can have any others.
        signal_window: steps of the windowed signals.
        embedding_size: 0 if the policy gives no embedding.
        chunk_shape: (members, chunk length, A), or zeros if the policy gives no chunks.
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
    joint_names: tuple[str, ...] = ()
    object_names: tuple[str, ...] = ()
    action: ActionSpec = TOOL_MOTION
    policy_action: ActionSpec | None = None
    taxonomy: Taxonomy = BUILT_IN
    horizons: tuple[float, ...] = HORIZONS_S
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
        if not 0 <= self.embedding_size <= MAX_EMBEDDING:
            raise SchemaError(
                f"embedding_size must be 0 to {MAX_EMBEDDING}, got {self.embedding_size}"
            )
        self._check_chunk()
        try:
            object.__setattr__(self, "horizons", checked_horizons(self.horizons))
        except ValueError as error:
            raise SchemaError(str(error)) from error

    def _check_chunk(self) -> None:
        shape = tuple(self.chunk_shape)
        if len(shape) != 3 or any(size < 0 for size in shape):
            raise SchemaError(f"chunk_shape must be three sizes, got {shape}")
        if not all(shape):
            return
        if shape[2] != self.action.size:
            raise SchemaError(
                f"chunk_shape {shape} has {shape[2]} action dimensions, but there are "
                f"{self.action.size} action names: {', '.join(self.action.names)}"
            )
        if shape[0] * shape[1] * shape[2] > MAX_CHUNK:
            raise SchemaError(f"chunk_shape {shape} has more than {MAX_CHUNK} numbers")

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
        plain = asdict(self)
        for name in ("action", "policy_action", "taxonomy"):
            del plain[name]
        own = self.policy_action.to_dict() if self.policy_action is not None else {}
        return {
            "salus_schema_version": SCHEMA_VERSION,
            **plain,
            **{f"action_{key}": value for key, value in self.action.to_dict().items()},
            **{f"policy_action_{key}": own.get(key, []) for key in ("names", "units", "kinds")},
            "rate": 1.0 / self.control_period,
            "state_names": self.state_names,
            "failure_names": self.taxonomy.names,
            "failure_descriptions": self.taxonomy.descriptions,
        }

    def episode_columns(self) -> tuple[ColumnSpec, ...]:
        """Arrays with one row per episode: EPISODE_COLUMNS, with the names of the types."""
        return tuple(
            replace(spec, attributes={"values": ["none", *self.taxonomy.names]})
            if spec.key == "meta/episode/failure_type"
            else spec
            for spec in EPISODE_COLUMNS
        )

    def data_columns(self) -> tuple[ColumnSpec, ...]:
        """Arrays with one row per step; the keys are below data.zarr/data."""
        nan = float("nan")
        action, size = _described(self.action), (self.action.size,)
        signals = {"names": self.signal_names, "units": self.signal_units}
        n_signals, n_objects = len(self.signal_names), len(self.object_names)
        columns = [
            _step("timestamp", "f8", (), nan, unit="s", about="stamp of the observation"),
            _step("step", "i4", (), 0, about="number of the step within its episode"),
            _step("complete", "bool", (), False, about="every required message came"),
            _step("action", "f8", size, nan, about="proposed by the policy", **action),
            _step("command", "f8", size, nan, about="executed by the robot", **action),
            _step("action_std", "f4", size, nan, about="spread of the members", **action),
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
                (len(self.horizons) * self.taxonomy.size,),
                nan,
                about="probabilities in C order (horizon, type); NaN: no forecast",
                horizons=self.horizons,
                failure_names=self.taxonomy.names,
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
        if self.policy_action is not None:
            columns.append(
                _step(
                    "policy_action",
                    "f8",
                    (self.policy_action.size,),
                    nan,
                    about="the policy's own numbers, before they were converted to action",
                    **_described(self.policy_action),
                )
            )
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


def _described(action: ActionSpec) -> dict[str, Any]:
    """Attributes of an array of actions."""
    return {
        "names": action.names,
        "units": action.units,
        "kinds": [str(kind) for kind in action.kinds],
    }


def _step(
    name: str, dtype: str, shape: tuple[int, ...], fill: Any, **attributes: Any
) -> ColumnSpec:
    return ColumnSpec(f"data/{name}", dtype, shape, fill, attributes=attributes)
