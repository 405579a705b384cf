# SPDX-License-Identifier: Apache-2.0
"""Names, units and definitions of the twelve signals, in the order of the bits of VlaSignals."""

import hashlib
import json
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

DEFAULT_WINDOW = 10
"""Steps w of the windowed signals."""


class Signal(IntEnum):
    """Index of a signal in every array of signals; equal to the constants of VlaSignals.msg."""

    ACTION_VOLATILITY = 0
    ACTION_MAGNITUDE = 1
    ACTION_ACCELERATION = 2
    TRAJECTORY_DIVERGENCE = 3
    LATENT_DRIFT = 4
    LATENT_NORM_SPIKE = 5
    OOD_DISTANCE = 6
    PREDICTIVE_ENTROPY = 7
    EPISTEMIC_UNCERTAINTY = 8
    EXECUTION_MISMATCH = 9
    CONSTRAINT_MARGIN = 10
    TEMPORAL_CONSISTENCY = 11


@dataclass(frozen=True)
class SignalDefinition:
    """What one signal means.

    Attributes:
        name: The field of VlaSignals.msg.
        unit: SI symbol, "1" for a ratio; "action" is one normalised action unit (SignalInfo's
            action_scale), "latent" one unit of the policy's latent.
        definition: For people, in one sentence.
    """

    name: str
    unit: str
    definition: str


SIGNALS: tuple[SignalDefinition, ...] = (
    SignalDefinition("action_volatility", "action", "|a_t - a_(t-1)|"),
    SignalDefinition("action_magnitude", "action", "|a_t|"),
    SignalDefinition("action_acceleration", "action", "|a_t - 2 a_(t-1) + a_(t-2)|"),
    SignalDefinition(
        "trajectory_divergence", "action", "|a_t - mean(a_(t-w) .. a_(t-1))| over a full window w"
    ),
    SignalDefinition("latent_drift", "latent", "|h_t - h_(t-1)|"),
    SignalDefinition(
        "latent_norm_spike",
        "1",
        "|h_t| over the exponential mean, with weight 2/(w+1), of the earlier norms",
    ),
    SignalDefinition(
        "ood_distance",
        "1",
        "Mahalanobis distance of h_t to the policy's training latents, Ledoit-Wolf covariance",
    ),
    SignalDefinition(
        "predictive_entropy",
        "nat",
        "entropy of the predicted action: sum over the tokens' entropies where the policy has "
        "tokens, else the Kolchinsky-Tracey upper bound for the Gaussian mixture of the members "
        "in normalised action units",
    ),
    SignalDefinition(
        "epistemic_uncertainty",
        "action^2",
        "mean over dimensions of the unbiased variance of the members' means; members that are "
        "noise samples of one checkpoint do not give it",
    ),
    SignalDefinition(
        "execution_mismatch",
        "m",
        "|commanded - achieved| translation of the tool within the last step",
    ),
    SignalDefinition(
        "constraint_margin",
        "rad",
        "smallest distance of a joint to its nearer limit, negative beyond it",
    ),
    SignalDefinition(
        "temporal_consistency",
        "action",
        "mean over members and overlapping steps of the distance between the previous chunk and "
        "this one; where the policy has no chunks, the standard deviation of action_volatility "
        "over a full window w",
    ),
)

SIGNAL_NAMES: tuple[str, ...] = tuple(signal.name for signal in SIGNALS)
SIGNAL_UNITS: tuple[str, ...] = tuple(signal.unit for signal in SIGNALS)
SIGNAL_DEFINITIONS: tuple[str, ...] = tuple(signal.definition for signal in SIGNALS)


def pack_validity(valid: np.ndarray) -> int:
    """Packs flags into the bit field of VlaSignals.

    Args:
        valid: (12,) bool, in the order of `Signal`.

    Returns:
        An integer whose bit i is set where valid[i] is.
    """
    return sum(1 << index for index in np.flatnonzero(valid).tolist())


def unpack_validity(bits: int) -> np.ndarray:
    """Reverses `pack_validity`.

    Args:
        bits: The field `valid` of VlaSignals.

    Returns:
        (12,) bool, in the order of `Signal`.
    """
    return np.array([bool(bits >> index & 1) for index in range(len(SIGNALS))])


def schema_hash(
    *,
    window: int,
    embedding_size: int,
    chunk_shape: tuple[int, int, int],
    members: int,
    member_kind: str,
    action_names: tuple[str, ...],
    action_units: tuple[str, ...],
    action_scale: tuple[float, ...],
) -> str:
    """Digest of everything that two recordings must share for their signals to be comparable.

    Args:
        window: Steps of the windowed signals.
        embedding_size: Length of the latent; 0: none.
        chunk_shape: (members, chunk length, action dimensions); zeros: no chunks.
        members: Number of members of the ensemble.
        member_kind: "checkpoints", "samples" or "single".
        action_names: One per action dimension.
        action_units: One per action dimension.
        action_scale: One normalised action unit, per dimension.

    Returns:
        SHA-256 in hexadecimal digits.
    """
    schema = {
        "signals": [[s.name, s.unit, s.definition] for s in SIGNALS],
        "window": window,
        "embedding_size": embedding_size,
        "chunk_shape": list(chunk_shape),
        "members": members,
        "member_kind": member_kind,
        "action_names": list(action_names),
        "action_units": list(action_units),
        # As float32, as SignalInfo carries it: the digest can be checked from the message.
        "action_scale": [float(np.float32(scale)) for scale in action_scale],
    }
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()
