# SPDX-License-Identifier: Apache-2.0
"""The numbers of a VlaSignals message, live and in a bag alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from salus_core.actions import TOOL_MOTION, ActionError, ActionSpec
from salus_core.signals import SIGNAL_NAMES, unpack_validity


def action_spec(info: Any) -> ActionSpec:
    """What the numbers of the action mean; in bags of older versions a tool's motion.

    Args:
        info: SignalInfo; None: none came.

    Raises:
        ActionError: it contradicts itself.
    """
    if info is None:
        return TOOL_MOTION
    scale = tuple(float(value) for value in info.action_scale)
    kinds = getattr(info, "action_kinds", ())
    if not len(kinds):
        return replace(TOOL_MOTION, scale=scale)
    return ActionSpec.of(info.action_names, info.action_units, kinds, scale)


def check_lengths(message: Any, info: Any) -> str:
    """Compare the lengths of a VlaSignals with what its SignalInfo says.

    Args:
        message: VlaSignals.
        info: SignalInfo; one of older versions says the length of the embedding only.

    Returns:
        A sentence that names the field and both lengths; empty: they agree.
    """
    try:
        actions = action_spec(info).size
    except ActionError as error:
        return f"signal_info: {error}"
    expected = {"action": (actions,), "action_std": (0, actions)}
    expected["embedding"] = (int(info.embedding_size),)
    chunk = getattr(info, "chunk_shape", None)
    if chunk is not None and getattr(info, "names", ()):
        expected["chunk"] = (int(np.prod(np.asarray(chunk, np.int64))), 0)
    for name, sizes in expected.items():
        size = len(getattr(message, name))
        if size not in sizes:
            return f"{name} has {size} numbers, but signal_info says {max(sizes)}"
    return ""


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
