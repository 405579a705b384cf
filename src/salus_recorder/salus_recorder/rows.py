# SPDX-License-Identifier: Apache-2.0
"""Turns messages into records of an episode: pure functions, checked by names and sizes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose, PoseStamped
from salus_msgs.msg import (
    ActionCommand,
    EpisodeSetup,
    EpisodeStatus,
    FailureForecast,
    ForecastInfo,
    Intervention,
    SignalInfo,
    VlaSignals,
    WorldState,
)

from salus_core.actions import ActionError, ActionSpec
from salus_core.episode_store import Camera, EpisodeEnd, EpisodeStart, Fault, RunSchema
from salus_core.episode_store.records import require_known_objects
from salus_core.episode_store.schema import INTERVENTION_NAMES
from salus_core.failures import BUILT_IN, HORIZONS_S, Outcome, Taxonomy
from salus_core.messages import (
    InvalidInputError,
    JointReading,
    failure_name,
    outcome,
    read_forecast,
    require_finite,
    to_array,
)
from salus_core.runtime import Forecast, GroundTruth, Observation, Proposal, StepRecord
from salus_core.signals import SIGNAL_NAMES, SignalValues, unpack_validity
from salus_recorder.assembler import StepMessages

MAX_LISTED = 256
"""Objects of a world, or faults of an episode, that are read from a message."""

IMAGE = "image/"
"""Prefix of the topics of images within the recorder: image/front."""


def make_schema(
    info: SignalInfo | None,
    setup: EpisodeSetup | None,
    cameras: Sequence[Camera],
    joint_names: Sequence[str],
    taxonomy: Taxonomy | None = None,
    forecast_info: ForecastInfo | None = None,
) -> RunSchema:
    """Describe a run.

    Args:
        info: of the policy; None: no policy is recorded.
        setup: of the episode; None: there is no world that knows its objects.
        cameras: whose images are stored.
        joint_names: order of the joints in `state`.
        taxonomy: failure types that the user gives; None: see taxonomy_of.
        forecast_info: of the predictor; None: none is known.

    Raises:
        SchemaError: the messages contradict themselves.
        TaxonomyError: the predictor's failure types are none.
        InvalidInputError: neither says the control period.
    """
    _bound("episode_setup: object_names", setup.object_names if setup is not None else ())
    taxonomy = taxonomy_of(taxonomy, forecast_info)
    given = forecast_info.horizons if forecast_info is not None else ()
    horizons = tuple(round(float(one), 6) for one in given)  # the message carries float32
    forecasts: dict[str, Any] = {"taxonomy": taxonomy, "horizons": horizons or HORIZONS_S}
    if info is None:
        if setup is None:
            raise InvalidInputError(
                "neither signal_info nor episode_setup has come: the control period is not known"
            )
        return RunSchema(
            control_period=setup.control_period,
            signal_names=SIGNAL_NAMES,
            signal_units=("",) * len(SIGNAL_NAMES),
            signal_definitions=("",) * len(SIGNAL_NAMES),
            signal_available=(False,) * len(SIGNAL_NAMES),
            cameras=tuple(cameras),
            joint_names=tuple(joint_names),
            object_names=tuple(setup.object_names),
            **forecasts,
        )
    if tuple(info.names) != SIGNAL_NAMES:
        raise InvalidInputError(
            f"signal_info: names must be {', '.join(SIGNAL_NAMES)}, got {', '.join(info.names)}"
        )
    return RunSchema(
        control_period=setup.control_period if setup is not None else info.control_period,
        signal_names=tuple(info.names),
        signal_units=tuple(info.units),
        signal_definitions=tuple(info.definitions),
        signal_available=tuple(info.available),
        cameras=tuple(cameras),
        joint_names=tuple(joint_names),
        object_names=tuple(setup.object_names) if setup is not None else (),
        action=_action("action", info),
        policy_action=_action("policy_action", info) if info.policy_action_names else None,
        signal_window=info.window,
        embedding_size=info.embedding_size,
        chunk_shape=tuple(int(size) for size in info.chunk_shape),
        backend=info.backend,
        policy=info.policy,
        policy_hash=info.policy_hash,
        members=info.members,
        member_kind=info.member_kind,
        schema_hash=info.schema_hash,
        **forecasts,
    )


def taxonomy_of(given: Taxonomy | None, info: ForecastInfo | None) -> Taxonomy:
    """Failure types of a run: the user's, else the predictor's, else the built-in ones.

    Raises:
        TaxonomyError: the predictor's failure types are none.
    """
    if given is not None:
        return given
    if info is None or not info.failure_names:
        return BUILT_IN
    return Taxonomy.of(info.failure_names)


def _bound(where: str, values: Sequence[Any]) -> None:
    if len(values) > MAX_LISTED:
        raise InvalidInputError(f"{where} has {len(values)} entries, at most {MAX_LISTED} are read")


def _action(name: str, info: SignalInfo) -> ActionSpec:
    """What the numbers of `action` or `policy_action` mean.

    Raises:
        InvalidInputError: signal_info contradicts itself.
    """
    fields = [getattr(info, f"{name}_{field}") for field in ("names", "units", "kinds")]
    try:
        return ActionSpec.of(*fields, info.action_scale if name == "action" else ())
    except ActionError as error:
        raise InvalidInputError(f"signal_info: {name}: {error}") from error


def make_start(
    number: int, setup: EpisodeSetup | None, status: EpisodeStatus | None
) -> EpisodeStart:
    """What an episode starts from; without a world only what the referee says of it."""
    if setup is None:
        return EpisodeStart(
            number=number,
            seed=status.seed if status is not None else 0,
            instruction=status.instruction if status is not None else "",
        )
    return EpisodeStart(
        number=number,
        seed=setup.seed,
        instruction=setup.instruction,
        task=setup.task,
        difficulty=setup.difficulty,
        fault_profile=setup.fault_profile,
        target_object=setup.target_object,
        goal_pose=tuple(pose_values(setup.goal_pose)),
        goal_radius=setup.goal_radius,
        max_steps=setup.max_steps,
        lockstep=setup.lockstep,
    )


def make_end(
    status: EpisodeStatus | None,
    length: int,
    commands_missed: int,
    forecast_info: ForecastInfo | None,
    taxonomy: Taxonomy = BUILT_IN,
) -> EpisodeEnd:
    """How an episode ended; without a status it was aborted.

    Raises:
        SchemaError: the status contradicts itself.
        InvalidInputError: its state or failure is none that exists, or it lists too much.
    """
    predictor = forecast_info or ForecastInfo()
    if status is None:
        status = EpisodeStatus(state=EpisodeStatus.STATE_ABORTED)
    _bound("episode: faults", status.faults)
    ended = outcome(status)
    name = failure_name(status, taxonomy)
    failed = ended == Outcome.FAILED
    if failed and status.onset_step > length:
        raise InvalidInputError(
            f"episode {status.episode}: EpisodeStatus.onset_step is {status.onset_step}, but the "
            f"episode has {length} steps"
        )
    return EpisodeEnd(
        length=length,
        outcome=ended,
        failure=taxonomy.code(name) if name else 0,
        onset_step=status.onset_step if failed else -1,
        faults=tuple(
            Fault(
                kind=fault.kind,
                magnitude=fault.magnitude,
                unit=fault.unit,
                onset_step=fault.onset_step,
                duration_steps=fault.duration_steps,
            )
            for fault in status.faults
        ),
        commands_missed=commands_missed,
        predictor=predictor.predictor,
        predictor_hash=predictor.predictor_hash,
    )


def make_record(
    step: StepMessages, schema: RunSchema, required: frozenset[str]
) -> tuple[StepRecord, frozenset[str], list[str]]:
    """Turn the messages of a step into a record, from which `row_of` makes the store's row.

    Returns:
        The record, the required topics that it lacks, and what is wrong with messages that do not
        fit the schema; they count as missing.
    """
    seen: dict[str, Any] = {}
    images: dict[str, np.ndarray] = {}
    parts: dict[str, Any] = {}
    problems = []
    used = {"step"} & step.messages.keys()
    for topic, message in step.messages.items():
        if topic == "step":
            continue
        try:
            if topic.startswith(IMAGE):
                images[topic.removeprefix(IMAGE)] = to_array(message, topic)
            elif topic in _SEEN:
                seen.update(_SEEN[topic](message, schema))
            else:
                part, read = _PARTS[topic]
                parts[part] = read(message, schema)
            used.add(topic)
        except ValueError as error:
            problems.append(str(error))
    missing = required - used
    observation = replace(NOTHING_SEEN, images=images, step=step.step, stamp=step.stamp, **seen)
    record = StepRecord(observation=observation, complete=not missing, **parts)
    return record, missing, problems


NOTHING_SEEN = Observation(
    images={},
    joint_positions=None,
    joint_velocities=None,
    tool_position=None,
    tool_quaternion=None,
    gripper_width=None,
    instruction="",
    step=0,
    stamp=None,
)


def pose_values(pose: Pose) -> list[float]:
    """A pose as x, y, z, qx, qy, qz, qw."""
    position, orientation = pose.position, pose.orientation
    return [
        *(position.x, position.y, position.z),
        *(orientation.x, orientation.y, orientation.z, orientation.w),
    ]


def _joints(reading: JointReading, schema: RunSchema) -> dict[str, Any]:
    """Positions and velocities in the schema's order; velocities that are not sent are NaN."""
    velocities = reading.velocities(schema.joint_names)
    return {
        "joint_positions": reading.positions(schema.joint_names),
        "joint_velocities": None if np.isnan(velocities).all() else velocities,
    }


def _tool(message: PoseStamped, schema: RunSchema) -> dict[str, Any]:
    values = np.array(pose_values(message.pose))
    return {"tool_position": values[:3], "tool_quaternion": values[3:]}


def _proposal(message: VlaSignals, schema: RunSchema) -> Proposal:
    names, own = schema.action.names, schema.policy_action
    sizes: Mapping[str, tuple[int, ...]] = {
        "embedding": (schema.embedding_size,),
        "chunk": schema.chunk_shape,
    }
    large: dict[str, np.ndarray | None] = {}
    for name, shape in sizes.items():
        values = getattr(message, name)
        if len(values) != np.prod(shape):
            raise InvalidInputError(
                f"vla_signals: {name} must have {np.prod(shape)} values as signal_info says, "
                f"got {len(values)}"
            )
        large[name] = np.asarray(values, np.float32).reshape(shape) if len(values) else None
    std = message.action_std
    return Proposal(
        action=_numbers("vla_signals: action", message.action, names),
        action_std=_numbers("vla_signals: action_std", std, names) if len(std) else None,
        chunks=large["chunk"],
        embedding=large["embedding"],
        signals=SignalValues(
            np.array([getattr(message, name) for name in SIGNAL_NAMES], np.float32),
            unpack_validity(message.valid),
        ),
        policy_action=None
        if own is None
        else _numbers("vla_signals: policy_action", message.policy_action, own.names),
    )


def _command(message: ActionCommand, schema: RunSchema) -> np.ndarray:
    return _numbers("command: action", message.action, schema.action.names)


def _numbers(where: str, values: Sequence[float], names: Sequence[str]) -> np.ndarray:
    """Finite numbers, as many as the action has dimensions."""
    if len(values) != len(names):
        raise InvalidInputError(
            f"{where} has {len(values)} numbers, but the run's actions have {len(names)}: "
            f"{', '.join(names)}"
        )
    require_finite(where, values, names)
    return np.asarray(values)


def _truth(message: WorldState, schema: RunSchema) -> GroundTruth:
    names, poses = message.object_names, message.object_poses
    truth = GroundTruth(
        step=message.step,
        tool_position=np.full(3, np.nan),
        object_poses={
            name: np.array(pose_values(pose)) for name, pose in zip(names, poses, strict=True)
        },
        gripper_width=message.gripper_width,
        gripper_command=message.gripper_command,
        grasped_object=message.grasped_object,
        contact_force=message.contact_force,
        contact_body=message.contact_body,
    )
    require_known_objects(truth, schema)
    return truth


def _forecast(message: FailureForecast, schema: RunSchema) -> Forecast:
    return read_forecast(message, len(schema.horizons), schema.taxonomy.size)


def _intervention(message: Intervention, schema: RunSchema) -> str:
    return _named("intervention: kind", message.kind, INTERVENTION_NAMES)


def _named(where: str, index: int, names: Sequence[str]) -> str:
    if index >= len(names):
        raise InvalidInputError(f"{where} is {index}, but there are 0 to {len(names) - 1} only")
    return names[index]


_SEEN: Mapping[str, Callable[[Any, RunSchema], dict[str, Any]]] = {
    "joint_states": _joints,
    "tool_pose": _tool,
}
"""Topics that tell fields of the observation."""
_PARTS: Mapping[str, tuple[str, Callable[[Any, RunSchema], Any]]] = {
    "vla_signals": ("proposal", _proposal),
    "command": ("command", _command),
    "world_state": ("truth", _truth),
    "failure_forecast": ("forecast", _forecast),
    "intervention": ("intervention", _intervention),
}
"""Topics that are a part of the record each."""
