"""Turns messages into what the episode store holds: pure functions, checked by names and sizes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose
from salus_msgs.msg import (
    EpisodeSetup,
    EpisodeStatus,
    FailureForecast,
    ForecastInfo,
    SignalInfo,
    VlaSignals,
    WorldState,
)
from sensor_msgs.msg import JointState

from salus_core.actions import ActionSpec
from salus_core.episode_store import Camera, EpisodeEnd, EpisodeStart, Fault, RunSchema
from salus_core.failures import FailureType, Outcome
from salus_core.signals import SIGNAL_NAMES, unpack_validity
from salus_recorder.assembler import StepMessages
from salus_ros.images import to_array
from salus_ros.validity import InvalidInputError, require_finite

IMAGE = "image/"
"""Prefix of the topics of images within the recorder: image/front."""


def make_schema(
    info: SignalInfo | None,
    setup: EpisodeSetup | None,
    cameras: Sequence[Camera],
    joint_names: Sequence[str],
) -> RunSchema:
    """Describe a run.

    Args:
        info: of the policy; None: no policy is recorded.
        setup: of the episode; None: there is no world that knows its objects.
        cameras: whose images are stored.
        joint_names: order of the joints in `state`.

    Raises:
        SchemaError: the messages contradict themselves.
        InvalidInputError: neither says the control period.
    """
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
        action=ActionSpec.of(
            info.action_names, info.action_units, info.action_kinds, info.action_scale
        ),
        policy_action=ActionSpec.of(
            info.policy_action_names, info.policy_action_units, info.policy_action_kinds
        )
        if info.policy_action_names
        else None,
        signal_window=info.window,
        embedding_size=info.embedding_size,
        chunk_shape=tuple(int(size) for size in info.chunk_shape),
        backend=info.backend,
        policy=info.policy,
        policy_hash=info.policy_hash,
        members=info.members,
        member_kind=info.member_kind,
        schema_hash=info.schema_hash,
    )


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
) -> EpisodeEnd:
    """How an episode ended; without a status it was aborted.

    Raises:
        SchemaError: the status contradicts itself.
        ValueError: its state or failure is none that exists.
    """
    predictor = forecast_info or ForecastInfo()
    if status is None:
        status = EpisodeStatus(state=EpisodeStatus.STATE_ABORTED)
    failed = status.state == EpisodeStatus.STATE_FAILED
    return EpisodeEnd(
        length=length,
        outcome=Outcome(status.state),
        failure=FailureType(status.failure),
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


def make_row(
    step: StepMessages, schema: RunSchema, required: frozenset[str]
) -> tuple[dict[str, Any], frozenset[str], list[str]]:
    """Turn the messages of a step into a row.

    Returns:
        The row, the required topics that it lacks, and what is wrong with messages that do not fit
        the schema; they count as missing.
    """
    row: dict[str, Any] = {"step": step.step}
    if step.stamp is not None:
        row["timestamp"] = step.stamp * 1e-9
    problems = []
    used = {"step"} & step.messages.keys()
    for topic, message in step.messages.items():
        if topic == "step":
            continue
        try:
            row.update(_values(topic, message, schema))
            used.add(topic)
        except ValueError as error:
            problems.append(str(error))
    state = np.full(len(schema.state_names), np.nan)
    joints = row.pop("joints", None)
    tool = row.pop("tool", None)
    if joints is not None:
        state[:-7] = joints
    if tool is not None:
        state[-7:] = tool
    row["state"] = state
    missing = required - used
    row["complete"] = not missing
    return row, missing, problems


def _values(topic: str, message: Any, schema: RunSchema) -> dict[str, Any]:
    if topic.startswith(IMAGE):
        return {topic: to_array(message, topic)}
    if topic == "joint_states":
        return {"joints": joint_values(message, schema.joint_names)}
    if topic == "tool_pose":
        return {"tool": pose_values(message.pose)}
    if topic == "vla_signals":
        return _signal_values(message, schema)
    if topic == "command":
        return {"command": _numbers("command: action", message.action, schema.action.names)}
    if topic == "world_state":
        return _world_values(message, schema)
    if topic == "failure_forecast":
        return _forecast_values(message, schema)
    if topic == "intervention":
        return {"intervention": message.kind}
    raise KeyError(topic)


def pose_values(pose: Pose) -> list[float]:
    """A pose as x, y, z, qx, qy, qz, qw."""
    position, orientation = pose.position, pose.orientation
    return [
        *(position.x, position.y, position.z),
        *(orientation.x, orientation.y, orientation.z, orientation.w),
    ]


def joint_values(message: JointState, names: Sequence[str]) -> np.ndarray:
    """Positions, then velocities, in the order of `names`; velocities that are not sent are NaN."""
    order = [message.name.index(name) for name in names]
    velocity = np.asarray(message.velocity) if len(message.velocity) else None
    return np.concatenate(
        [
            np.asarray(message.position)[order],
            np.full(len(order), np.nan) if velocity is None else velocity[order],
        ]
    )


def _signal_values(message: VlaSignals, schema: RunSchema) -> dict[str, Any]:
    valid = unpack_validity(message.valid)
    signals = np.array([getattr(message, name) for name in SIGNAL_NAMES], np.float32)
    names = schema.action.names
    row: dict[str, Any] = {
        "signals": np.where(valid, signals, np.float32(np.nan)),
        "signals_valid": valid,
        "action": _numbers("vla_signals: action", message.action, names),
        **(
            {"action_std": _numbers("vla_signals: action_std", message.action_std, names)}
            if len(message.action_std)
            else {}
        ),
    }
    own = schema.policy_action
    if own is not None and len(own.names):
        row["policy_action"] = _numbers(
            "vla_signals: policy_action", message.policy_action, own.names
        )
    sizes: Mapping[str, tuple[int, ...]] = {
        "embedding": (schema.embedding_size,),
        "chunk": schema.chunk_shape,
    }
    for name, shape in sizes.items():
        values = getattr(message, name)
        if len(values) != np.prod(shape):
            raise InvalidInputError(
                f"vla_signals: {name} must have {np.prod(shape)} values as signal_info says, "
                f"got {len(values)}"
            )
        if len(values):
            row[name] = np.asarray(values, np.float32).reshape(shape)
    return row


def _numbers(where: str, values: Sequence[float], names: Sequence[str]) -> np.ndarray:
    """Finite numbers, as many as the action has dimensions."""
    if len(values) != len(names):
        raise InvalidInputError(
            f"{where} has {len(values)} numbers, but the run's actions have {len(names)}: "
            f"{', '.join(names)}"
        )
    require_finite(where, values, names)
    return np.asarray(values)


def _world_values(message: WorldState, schema: RunSchema) -> dict[str, Any]:
    names = schema.object_names
    unknown = [name for name in message.object_names if name not in names]
    if unknown:
        raise InvalidInputError(
            f"world_state: {', '.join(unknown)} is not among the objects of episode_setup: "
            f"{', '.join(names)}"
        )
    poses = np.full((len(names), 7), np.nan)
    for name, pose in zip(message.object_names, message.object_poses, strict=True):
        poses[names.index(name)] = pose_values(pose)
    grasped = message.grasped_object
    return {
        **({"object_pose": poses} if names else {}),
        "gripper_width": np.float32(message.gripper_width),
        "gripper_command": np.float32(message.gripper_command),
        "contact_force": np.float32(message.contact_force),
        "grasped_object": names.index(grasped) if grasped in names else -1,
    }


def _forecast_values(message: FailureForecast, schema: RunSchema) -> dict[str, Any]:
    row: dict[str, Any] = {"forecast_status": message.status}
    numbers = len(message.probabilities)
    if numbers == 0:
        return row
    wanted = len(schema.horizons) * schema.taxonomy.size
    if numbers != wanted:
        raise InvalidInputError(f"failure_forecast: expected {wanted} numbers, got {numbers}")
    return {
        **row,
        "forecast": np.asarray(message.probabilities, np.float32),
        "forecast_risk": np.float32(message.risk),
        "forecast_score": np.float32(message.score),
        "forecast_band": np.float32(message.band),
        "alarm": message.alarm,
    }
