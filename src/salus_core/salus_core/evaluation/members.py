# SPDX-License-Identifier: Apache-2.0
"""What a recording would have been with a smaller ensemble, as far as it can be told afterwards."""

import dataclasses

import numpy as np

from salus_core.data import StepData
from salus_core.data.windows import previous_row
from salus_core.signals import Signal

LOST = (
    Signal.LATENT_DRIFT,
    Signal.LATENT_NORM_SPIKE,
    Signal.OOD_DISTANCE,
    Signal.PREDICTIVE_ENTROPY,
)
"""Signals of the whole ensemble that cannot be computed again without the policy: not valid."""


def with_members(data: StepData, members: int) -> StepData:
    """Keep the first members: their latents, and what their action chunks say.

    Computed again from the chunks are `action_std`, epistemic_uncertainty and temporal_consistency;
    LOST are made invalid, also for the full number of members, so that sizes can be compared. The
    actions stay those of the whole ensemble, which drove the robot.

    Args:
        data: with chunks, and an embedding of one part per member.
        members: from 1 to those recorded.

    Raises:
        ValueError: the data do not allow it.
    """
    if data.chunk is None:
        raise ValueError("a smaller ensemble needs the action chunks: none were recorded or read")
    size = data.embedding.shape[1]
    if not 1 <= members <= data.chunk.shape[1] or size % data.chunk.shape[1]:
        raise ValueError(
            f"cannot keep {members} members of chunks {data.chunk.shape[1:]} and an embedding of "
            f"{size}"
        )
    chunk = data.chunk[:, :members]
    scaled = chunk.astype(np.float32) / data.action_scale
    signals, valid = data.signals.copy(), data.valid.copy()
    for signal in LOST:
        signals[:, signal], valid[:, signal] = np.nan, False
    epistemic = np.full(len(data), np.nan, np.float32)
    spread = np.zeros_like(data.action_std)
    if members > 1:
        epistemic = scaled[:, :, 0].var(axis=1, ddof=1).mean(axis=1)
        spread = chunk[:, :, 0].astype(np.float32).std(axis=1, ddof=1)
    consistency = np.full(len(data), np.nan, np.float32)
    previous = previous_row(data)
    follows = np.flatnonzero(previous >= 0)
    gap = scaled[previous[follows]][:, :, 1:] - scaled[follows][:, :, :-1]
    consistency[follows] = np.linalg.norm(gap, axis=3).mean(axis=(1, 2))
    for signal, values in (
        (Signal.EPISTEMIC_UNCERTAINTY, epistemic),
        (Signal.TEMPORAL_CONSISTENCY, consistency),
    ):
        signals[:, signal], valid[:, signal] = values, np.isfinite(values)
    return dataclasses.replace(
        data,
        signals=signals,
        valid=valid,
        action_std=spread,
        chunk=chunk,
        embedding=data.embedding[:, : size // data.chunk.shape[1] * members],
        members=members,
    )
