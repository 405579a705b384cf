"""The numbers of a VlaSignals message, live and in a bag alike."""

from typing import Any

import numpy as np

from salus_core.actions import TOOL_MOTION
from salus_core.signals import SIGNAL_NAMES, unpack_validity


def step_values(
    message: Any, embedding_size: int, action_size: int = TOOL_MOTION.size
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays of a step, named as in StepData; what is unusable is NaN, or not valid.

    Args:
        message: VlaSignals.
        embedding_size: D, values that the embedding must have; 0: it is not read.
        action_size: A, values that the action must have.

    Returns:
        `signals` (12,), `valid` (12,) bool, `action` (A,), `action_std` (A,), `embedding` (D,), all
        float32 but `valid`; and a sentence for each field that is unusable.
    """
    problems = []
    signals = np.array([getattr(message, name) for name in SIGNAL_NAMES], np.float32)
    valid = unpack_validity(message.valid)
    broken = valid & ~np.isfinite(signals)
    if broken.any():
        names = [name for name, wrong in zip(SIGNAL_NAMES, broken, strict=True) if wrong]
        problems.append(f"not finite though marked valid: {', '.join(names)}")
        valid = valid & ~broken
    found = {"signals": np.where(valid, signals, np.float32(np.nan)), "valid": valid}
    for name in ("action", "action_std"):
        values = np.asarray(getattr(message, name), np.float32)
        if values.size == 0 and name == "action_std":
            values = np.full(action_size, np.nan, np.float32)  # not known
        elif values.size != action_size:
            problems.append(f"the {name} has {values.size} values, expected {action_size}")
            values = np.full(action_size, np.nan, np.float32)
        elif not np.isfinite(values).all():
            problems.append(f"the {name} is not finite")
            values = np.full_like(values, np.nan)
        found[name] = values
    embedding = np.asarray(message.embedding if embedding_size else (), np.float32)
    if embedding.size != embedding_size:
        problems.append(f"the embedding has {embedding.size} values, expected {embedding_size}")
    elif not np.isfinite(embedding).all():
        problems.append("the embedding is not finite")
    else:
        return {**found, "embedding": embedding}, problems
    return {**found, "embedding": np.full(embedding_size, np.nan, np.float32)}, problems
