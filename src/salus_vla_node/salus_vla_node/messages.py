# SPDX-License-Identifier: Apache-2.0
"""VlaSignals and SignalInfo from the policy's output."""

from array import array

import numpy as np
from builtin_interfaces.msg import Time
from salus_msgs.msg import SceneEstimate as SceneEstimateMessage
from salus_msgs.msg import SignalInfo, Step, VlaSignals

from salus_core.runtime import SceneEstimate
from salus_core.signals import (
    SIGNAL_DEFINITIONS,
    SIGNAL_NAMES,
    SIGNAL_UNITS,
    SignalValues,
    available_signals,
    member_variance,
    pack_validity,
    schema_hash,
)
from salus_policies.backends.base import PolicyInfo, PolicyOutput, PolicyOutputError


def _float32_sequence(name: str, values: np.ndarray | None) -> array:
    # rosidl checks a list element by element, an array of the right type not at all.
    sequence = array("f")
    if values is not None:
        with np.errstate(over="ignore"):
            numbers = np.ascontiguousarray(values, np.float32)
        if not np.isfinite(numbers).all():
            raise PolicyOutputError(f"the policy gave {name} beyond the range of float32")
        sequence.frombytes(numbers.tobytes())
    return sequence


def signals_message(step: Step, output: PolicyOutput, signals: SignalValues) -> VlaSignals:
    """Makes the message of one step, all but its latency.

    Args:
        step: Of the observation; gives header, episode and step.
        output: Of the policy, checked.
        signals: Of the same step.

    Returns:
        The message.

    Raises:
        PolicyOutputError: A number does not fit into the message.
    """
    message = VlaSignals(header=step.header, episode=step.episode, step=step.step)
    for name, value in zip(SIGNAL_NAMES, signals.values.tolist(), strict=True):
        setattr(message, name, value)
    message.valid = pack_validity(signals.valid)
    message.action = array("d", np.asarray(output.action, np.float64).tobytes())
    if output.policy_action is not None:
        message.policy_action = array("d", np.asarray(output.policy_action, np.float64).tobytes())
    if output.member_means is not None and len(output.member_means) > 1:
        message.action_std = _float32_sequence(
            "member_means", np.sqrt(member_variance(output.member_means))
        )
    message.embedding = _float32_sequence("latent", output.latent)
    message.chunk = _float32_sequence("chunks", output.chunks)
    return message


def scene_message(step: Step, scene: SceneEstimate) -> SceneEstimateMessage:
    """Makes the message of what is estimated of a step's scene."""
    return SceneEstimateMessage(
        header=step.header,
        episode=step.episode,
        step=step.step,
        source=scene.source,
        names=list(scene.names),
        values=array("f", np.asarray(scene.values, np.float32).tobytes()),
        std=array("f", b"" if scene.std is None else np.asarray(scene.std, np.float32).tobytes()),
    )


def info_message(
    info: PolicyInfo, window: int, has_joint_limits: bool, has_tool_pose: bool, stamp: Time
) -> SignalInfo:
    """Makes the latched description of the signals.

    Args:
        info: Of the loaded policy.
        window: Steps of the windowed signals.
        has_joint_limits: Joint limits are known.
        has_tool_pose: The robot tells where its tool is.
        stamp: Of the publication.

    Returns:
        The message.
    """
    message = SignalInfo(
        names=list(SIGNAL_NAMES),
        units=list(SIGNAL_UNITS),
        definitions=list(SIGNAL_DEFINITIONS),
        available=available_signals(
            members=info.members,
            member_kind=info.member_kind,
            has_distribution=info.has_distribution,
            has_latent=info.embedding_size > 0,
            has_latent_statistics=info.latent_statistics is not None,
            has_joint_limits=has_joint_limits,
            has_tool_motion=has_tool_pose and info.has_tool_motion,
        ).tolist(),
        action_names=list(info.action.names),
        action_units=list(info.action.units),
        action_kinds=[str(kind) for kind in info.action.kinds],
        action_scale=array("f", info.action.scale),
        window=window,
        embedding_size=info.embedding_size,
        chunk_shape=np.array(info.chunk_shape, np.uint32),
        members=info.members,
        member_kind=info.member_kind,
        backend=info.backend,
        policy=info.policy,
        policy_hash=info.weights_hash,
        control_period=info.control_period,
    )
    message.header.stamp = stamp
    if info.policy_action is not None:
        message.policy_action_names = list(info.policy_action.names)
        message.policy_action_units = list(info.policy_action.units)
        message.policy_action_kinds = [str(kind) for kind in info.policy_action.kinds]
    message.schema_hash = schema_hash(
        window=window,
        embedding_size=info.embedding_size,
        chunk_shape=info.chunk_shape,
        members=info.members,
        member_kind=info.member_kind,
        action_names=info.action.names,
        action_units=info.action.units,
        action_scale=info.action.scale,
    )
    return message
