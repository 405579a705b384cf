# SPDX-License-Identifier: Apache-2.0
"""From recorded steps to the numbers that a network reads, the same offline and live."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from salus_core.data.step_data import StepData
from salus_core.data.windows import make_windows
from salus_core.episode_store.episodes import POSE_NAMES
from salus_core.predictors.normaliser import Normaliser
from salus_core.rotations import one_sign
from salus_core.signals import SIGNAL_NAMES, Signal

GROUPS = ("signals", "valid", "proprioception", "action", "action_std", "small_set", "embedding")
"""What `inputs` of a predictor may name."""

SMALL_SET_NAMES = (
    "epistemic_uncertainty",
    "action_magnitude",
    "mean_action_variance",
    "smoothness",
    "largest_action_variance",
    "uncertainty_trend",
)
"""The six signals of `mvp`: signals 8 and 1; the mean over the dimensions of action_std squared;
signal 2; the largest of a dimension in normalised action units; slope of signal 8 per step."""

TREND_WINDOW = 10
"""Steps of which `uncertainty_trend` is the slope."""


class InputError(ValueError):
    """Steps lack what a predictor reads; the message names what."""


@dataclass(frozen=True)
class StepInputs:
    """What one step gives a predictor.

    Attributes:
        signals: (12,) float32, NaN where not valid.
        valid: (12,) bool.
        proprioception: (P,) float32.
        action: (A,) float32.
        action_std: (A,) float32.
        embedding: (D,) any float; it is rounded to half precision.
    """

    signals: np.ndarray
    valid: np.ndarray
    proprioception: np.ndarray
    action: np.ndarray
    action_std: np.ndarray
    embedding: np.ndarray

    @classmethod
    def of(cls, data: StepData, row: int) -> StepInputs:
        """A recorded step."""
        return cls(
            data.signals[row],
            data.valid[row],
            data.proprioception[row],
            data.action[row],
            data.action_std[row],
            data.embedding[row],
        )


@dataclass(frozen=True)
class InputLayout:
    """Which columns a predictor reads, in which order.

    Attributes:
        inputs: names of GROUPS.
        signals: names of the signals that it may see; the others are as if never valid.
        proprioception_names: columns of `proprioception`.
        embedding_size: D; 0 unless "embedding" is among the inputs.
        action_scale: (A,) one normalised action unit per dimension.
    """

    inputs: tuple[str, ...]
    signals: tuple[str, ...]
    proprioception_names: tuple[str, ...]
    embedding_size: int
    action_scale: tuple[float, ...]

    @classmethod
    def of(cls, data: StepData, inputs: Sequence[str], signals: Sequence[str]) -> InputLayout:
        """The layout that fits some data; of the proprioception, what some step has.

        Raises:
            InputError: an unknown name, or the data have no embedding or proprioception and one is
                asked for.
        """
        for kind, names, known in (
            ("input", inputs, GROUPS),
            ("signal", signals, SIGNAL_NAMES),
        ):
            unknown = [name for name in names if name not in known]
            if unknown:
                raise InputError(f"unknown {kind} '{unknown[0]}': use {', '.join(known)}")
        size = data.embedding.shape[1] if "embedding" in inputs else 0
        if "embedding" in inputs and size == 0:
            raise InputError("the data have no embedding: leave 'embedding' out of the inputs")
        body = data.known_proprioception if "proprioception" in inputs else ()
        if "proprioception" in inputs and not body:
            raise InputError(
                "the data have no proprioception: leave 'proprioception' out of the inputs"
            )
        return cls(
            tuple(group for group in GROUPS if group in inputs),
            tuple(name for name in SIGNAL_NAMES if name in signals),
            body,
            size,
            tuple(float(scale) for scale in data.action_scale),
        )

    @property
    def action_size(self) -> int:
        """A, dimensions of the action."""
        return len(self.action_scale)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, all but those of the embedding."""
        names = {
            "signals": SIGNAL_NAMES,
            "valid": tuple(f"valid.{name}" for name in SIGNAL_NAMES),
            "proprioception": self.proprioception_names,
            "action": tuple(f"action.{index}" for index in range(self.action_size)),
            "action_std": tuple(f"action_std.{index}" for index in range(self.action_size)),
            "small_set": SMALL_SET_NAMES,
        }
        return tuple(name for group in self.inputs for name in names.get(group, ()))

    @cached_property
    def hidden(self) -> np.ndarray:
        """(12,) bool, signals that it may not see."""
        return np.array([name not in self.signals for name in SIGNAL_NAMES])

    def group_of_columns(self) -> np.ndarray:
        """Name of the group of each column, (F,) str."""
        actions = self.action_size
        sizes = {"proprioception": len(self.proprioception_names)}
        sizes |= {"action": actions, "action_std": actions}
        sizes |= {"signals": 12, "valid": 12, "small_set": len(SMALL_SET_NAMES), "embedding": 0}
        return np.repeat(self.inputs, [sizes[group] for group in self.inputs])

    def raw(self, steps: StepInputs | StepData, trend: np.ndarray) -> np.ndarray:
        """Columns before normalisation; NaN where there is nothing.

        Args:
            steps: one step, or the arrays of n of them.
            trend: (n,) of `uncertainty_trend`.

        Returns:
            (n, F) float32.
        """
        signals = np.atleast_2d(steps.signals)
        valid = np.atleast_2d(steps.valid) & ~self.hidden
        signals = np.where(valid, signals, np.float32(np.nan))
        std = np.atleast_2d(steps.action_std)
        groups = {
            "signals": lambda: signals,
            "valid": lambda: valid.astype(np.float32),
            "proprioception": lambda: self._body(np.atleast_2d(steps.proprioception)),
            "action": lambda: np.atleast_2d(steps.action),
            "action_std": lambda: std,
            "small_set": lambda: self._small_set(signals, std, trend),
        }
        parts = [groups[group]() for group in self.inputs if group != "embedding"]
        if not parts:
            return np.zeros((len(signals), 0), np.float32)
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _body(self, values: np.ndarray) -> np.ndarray:
        return with_one_sign(values, self.proprioception_names)

    def _small_set(self, signals: np.ndarray, std: np.ndarray, trend: np.ndarray) -> np.ndarray:
        scaled = std / np.array(self.action_scale, np.float32)
        columns = (
            signals[:, Signal.EPISTEMIC_UNCERTAINTY],
            signals[:, Signal.ACTION_MAGNITUDE],
            (std**2).mean(axis=1),
            signals[:, Signal.ACTION_ACCELERATION],
            (scaled**2).max(axis=1),
            trend,
        )
        return np.stack(columns, axis=1)


def with_one_sign(state: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The body's state with the tool's quaternion of one sign and norm.

    Args:
        state: (n, P).
        names: P, as a run's `state_names`.

    Returns:
        (n, P); NaN where the quaternion is all zero, which is no rotation.
    """
    wanted = [f"tool.{name}" for name in POSE_NAMES[3:]]
    if not set(wanted) <= set(names):
        return state
    columns = [names.index(name) for name in wanted]
    result = state.copy()
    result[:, columns] = one_sign(state[:, columns].astype(np.float64))
    return result


def uncertainty_trend(windows: np.ndarray) -> np.ndarray:
    """Least-squares slope over the valid values of windows.

    Args:
        windows: (n, TREND_WINDOW), oldest first, NaN where not valid.

    Returns:
        (n,) float32 per step; NaN where fewer than two values are valid.
    """
    values = np.asarray(windows, np.float64)
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    weight = known / np.maximum(count, 1)[:, None]
    time = np.arange(values.shape[1], dtype=np.float64) - (weight * np.arange(values.shape[1])).sum(
        axis=1, keepdims=True
    )
    filled = np.where(known, values, 0.0)
    spread = (known * time**2).sum(axis=1)
    slope = (known * time * filled).sum(axis=1) / np.where(spread > 0, spread, 1.0)
    return np.where(count >= 2, slope, np.nan).astype(np.float32)


def raw_columns(layout: InputLayout, data: StepData) -> np.ndarray:
    """Columns of all steps before normalisation, (N, F) float32."""
    if layout.proprioception_names:
        data = data.with_proprioception(layout.proprioception_names)
    trend = np.full(len(data), np.nan, np.float32)
    if "small_set" in layout.inputs:
        uncertainty = np.where(layout.hidden, np.nan, data.signals)
        uncertainty = uncertainty[:, Signal.EPISTEMIC_UNCERTAINTY].astype(np.float32)
        windows = make_windows(data, TREND_WINDOW)
        trend = uncertainty_trend(np.where(windows.present, uncertainty[windows.rows], np.nan))
    return layout.raw(data, trend)


class FeatureStream:
    """Columns of one step after the other, equal to those of `raw_columns`."""

    def __init__(self, layout: InputLayout, normaliser: Normaliser):
        self._layout = layout
        self._normaliser = normaliser
        self._hidden = bool(layout.hidden[Signal.EPISTEMIC_UNCERTAINTY])
        self.reset()

    def reset(self) -> None:
        """Forget the episode."""
        self._past: deque[float] = deque([np.nan] * TREND_WINDOW, maxlen=TREND_WINDOW)

    @property
    def memory(self) -> tuple[float, ...]:
        """What it remembers of the episode; can be set to what it was."""
        return tuple(self._past)

    @memory.setter
    def memory(self, past: tuple[float, ...]) -> None:
        self._past = deque(past, maxlen=TREND_WINDOW)

    def update(self, step: StepInputs) -> tuple[np.ndarray, np.ndarray]:
        """Normalised columns (1, F) and embedding (1, D) of the next step."""
        trend = np.full(1, np.nan, np.float32)
        if "small_set" in self._layout.inputs:
            index = Signal.EPISTEMIC_UNCERTAINTY
            known = step.valid[index] and not self._hidden
            self._past.append(float(step.signals[index]) if known else np.nan)
            trend = uncertainty_trend(np.array([self._past]))
        columns = self._normaliser.columns(self._layout.raw(step, trend))
        if not self._layout.embedding_size:
            return columns, np.zeros((1, 0), np.float32)
        return columns, self._normaliser.embedding(step.embedding[None])
