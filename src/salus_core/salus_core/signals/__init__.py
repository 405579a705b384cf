# SPDX-License-Identifier: Apache-2.0
"""The twelve signals of a vision-language-action policy: definitions and computation."""

from salus_core.signals.computer import (
    MEMBER_KINDS,
    SignalComputer,
    SignalValues,
    StepInput,
    available_signals,
)
from salus_core.signals.definitions import (
    DEFAULT_WINDOW,
    SIGNAL_DEFINITIONS,
    SIGNAL_NAMES,
    SIGNAL_UNITS,
    SIGNALS,
    Signal,
    SignalDefinition,
    pack_validity,
    schema_hash,
    unpack_validity,
)
from salus_core.signals.latents import LatentStatistics, fit_latent_statistics
from salus_core.signals.uncertainty import (
    chunk_disagreement,
    gaussian_mixture_entropy,
    member_variance,
    token_entropy,
)

__all__ = [
    "DEFAULT_WINDOW",
    "MEMBER_KINDS",
    "SIGNALS",
    "SIGNAL_DEFINITIONS",
    "SIGNAL_NAMES",
    "SIGNAL_UNITS",
    "LatentStatistics",
    "Signal",
    "SignalComputer",
    "SignalDefinition",
    "SignalValues",
    "StepInput",
    "available_signals",
    "chunk_disagreement",
    "fit_latent_statistics",
    "gaussian_mixture_entropy",
    "member_variance",
    "pack_validity",
    "schema_hash",
    "token_entropy",
    "unpack_validity",
]
