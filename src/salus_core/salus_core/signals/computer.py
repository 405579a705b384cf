# SPDX-License-Identifier: Apache-2.0
"""The twelve signals, step by step."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from salus_core.signals.definitions import DEFAULT_WINDOW, SIGNALS, Signal
from salus_core.signals.latents import LatentStatistics
from salus_core.signals.uncertainty import (
    chunk_disagreement,
    gaussian_mixture_entropy,
    member_variance,
    token_entropy,
)

MEMBER_KINDS = ("checkpoints", "samples", "single")


@dataclass(frozen=True)
class StepInput:
    """Everything that the signals of one step are computed from.

    What is None was not available; the signals that need it are then invalid.

    Attributes:
        step: Number of the step within the episode.
        action: (A,) action of the ensemble mean, physical units.
        member_means: (K, A) actions of the members, physical units.
        member_stds: (K, A) standard deviations that the members predict, physical units.
        token_probabilities: (T, V) or (K, T, V) distribution of each action token.
        latent: (D,) pooled latent.
        chunks: (K, H, A) action chunks of the members, physical units.
        tool_position: (3,) achieved position of the tool at this observation [m].
        commanded_translation: (3,) change of the tool position that the command executed from the
            last step's observation asked for, in the frame of tool_position [m].
        joint_positions: (J,) positions of the joints that have limits [rad].
    """

    step: int
    action: np.ndarray
    member_means: np.ndarray | None = None
    member_stds: np.ndarray | None = None
    token_probabilities: np.ndarray | None = None
    latent: np.ndarray | None = None
    chunks: np.ndarray | None = None
    tool_position: np.ndarray | None = None
    commanded_translation: np.ndarray | None = None
    joint_positions: np.ndarray | None = None


@dataclass(frozen=True)
class SignalValues:
    """The signals of one step, in the order of `Signal`.

    Attributes:
        values: (12,) float32, finite; 0 where not valid.
        valid: (12,) bool.
    """

    values: np.ndarray
    valid: np.ndarray


class SignalComputer:
    """Computes the signals of one environment, one step after the other.

    A step that does not follow its predecessor directly (one was lost) starts the history anew:
    differences and windows then are invalid until they are complete again, never computed over a
    gap. Arithmetic is in double precision.

    Args:
        action_scale: (A,) one normalised action unit per dimension, positive, physical units.
        window: Steps w of the windowed signals.
        member_kind: "checkpoints", "samples" (noise samples of one checkpoint) or "single".
        latent_statistics: Of the policy's training latents; None: no ood_distance.
        joint_lower: (J,) lower joint limits [rad]; None: no constraint_margin.
        joint_upper: (J,) upper joint limits [rad].

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        action_scale: Sequence[float] | np.ndarray,
        *,
        window: int = DEFAULT_WINDOW,
        member_kind: str = "checkpoints",
        latent_statistics: LatentStatistics | None = None,
        joint_lower: Sequence[float] | np.ndarray | None = None,
        joint_upper: Sequence[float] | np.ndarray | None = None,
    ):
        self._scale = np.asarray(action_scale, np.float64)
        if self._scale.ndim != 1 or not np.all(self._scale > 0.0):
            raise ValueError(f"action_scale must be positive per dimension, got {action_scale}")
        if window < 2:
            raise ValueError(f"window must be at least 2 steps, got {window}")
        if member_kind not in MEMBER_KINDS:
            raise ValueError(f"member_kind must be one of {MEMBER_KINDS}, got '{member_kind}'")
        self._window = window
        self._member_kind = member_kind
        self._statistics = latent_statistics
        self._lower = None if joint_lower is None else np.asarray(joint_lower, np.float64)
        self._upper = None if joint_upper is None else np.asarray(joint_upper, np.float64)
        if (self._lower is None) != (self._upper is None):
            raise ValueError("joint_lower and joint_upper must be given together")
        if self._lower is not None and self._lower.shape != self._upper.shape:
            raise ValueError(
                f"joint_lower {self._lower.shape} and joint_upper {self._upper.shape} differ"
            )
        # |h| over the mean of a window is smoothed like a mean over w steps: weight 2 / (w + 1).
        self._weight = 2.0 / (window + 1)
        self.reset()

    def reset(self) -> None:
        """Forgets the history; call it at the start of every episode."""
        self._step: int | None = None
        self._clear()

    def _clear(self) -> None:
        self._actions: deque[np.ndarray] = deque(maxlen=self._window)
        self._volatilities: deque[float] = deque(maxlen=self._window)
        self._latent: np.ndarray | None = None
        self._norm_mean: float | None = None
        self._chunks: np.ndarray | None = None
        self._tool: np.ndarray | None = None

    def update(self, inputs: StepInput) -> SignalValues:
        """Computes the signals of the next step.

        Args:
            inputs: The step; its number must be above the last one's.

        Returns:
            Values and validity.

        Raises:
            ValueError: The step is not above the last one, the action is not finite, or an array
                has the wrong shape.
        """
        if self._step is not None and inputs.step <= self._step:
            raise ValueError(f"step {inputs.step} after step {self._step}: reset() is missing")
        action = self._normalised(inputs.action, "action", 1)
        if not np.all(np.isfinite(action)):
            raise ValueError(f"action of step {inputs.step} is not finite: {inputs.action}")
        if self._step is not None and inputs.step != self._step + 1:
            self._clear()
        self._step = inputs.step

        found: dict[Signal, float] = {}
        self._action_signals(action, found)
        self._latent_signals(inputs.latent, found)
        self._uncertainty_signals(inputs, found)
        self._chunk_signal(inputs.chunks, found)
        self._body_signals(inputs, found)

        values = np.zeros(len(SIGNALS), np.float32)
        valid = np.zeros(len(SIGNALS), bool)
        for signal, value in found.items():
            single = np.float32(value)
            if np.isfinite(single):
                values[signal], valid[signal] = single, True
        return SignalValues(values, valid)

    def _normalised(self, array: np.ndarray, name: str, dimensions: int) -> np.ndarray:
        array = np.asarray(array, np.float64)
        if array.ndim != dimensions or array.shape[-1] != len(self._scale):
            raise ValueError(
                f"{name} has shape {array.shape}, expected {dimensions} dimensions, the last of "
                f"size {len(self._scale)}"
            )
        return array / self._scale

    def _action_signals(self, action: np.ndarray, found: dict[Signal, float]) -> None:
        past = self._actions
        found[Signal.ACTION_MAGNITUDE] = float(np.linalg.norm(action))
        if len(past) >= 1:
            volatility = float(np.linalg.norm(action - past[-1]))
            found[Signal.ACTION_VOLATILITY] = volatility
            self._volatilities.append(volatility)
        if len(past) >= 2:
            found[Signal.ACTION_ACCELERATION] = float(
                np.linalg.norm(action - 2.0 * past[-1] + past[-2])
            )
        if len(past) == self._window:
            found[Signal.TRAJECTORY_DIVERGENCE] = float(
                np.linalg.norm(action - np.mean(past, axis=0))
            )
        past.append(action)

    def _latent_signals(self, latent: np.ndarray | None, found: dict[Signal, float]) -> None:
        if latent is None or not np.all(np.isfinite(latent)):
            self._latent = self._norm_mean = None
            return
        latent = np.asarray(latent, np.float64)
        norm = float(np.linalg.norm(latent))
        if self._latent is not None:
            found[Signal.LATENT_DRIFT] = float(np.linalg.norm(latent - self._latent))
        if self._norm_mean is None:
            self._norm_mean = norm
        else:
            if self._norm_mean > 0.0:
                found[Signal.LATENT_NORM_SPIKE] = norm / self._norm_mean
            self._norm_mean += self._weight * (norm - self._norm_mean)
        if self._statistics is not None:
            found[Signal.OOD_DISTANCE] = self._statistics.distance(latent)
        self._latent = latent

    def _uncertainty_signals(self, inputs: StepInput, found: dict[Signal, float]) -> None:
        means = inputs.member_means
        if means is not None:
            means = self._normalised(means, "member_means", 2)
            if self._member_kind == "checkpoints" and len(means) >= 2:
                found[Signal.EPISTEMIC_UNCERTAINTY] = float(member_variance(means).mean())
        if inputs.token_probabilities is not None:
            found[Signal.PREDICTIVE_ENTROPY] = token_entropy(inputs.token_probabilities)
        elif means is not None and inputs.member_stds is not None:
            stds = self._normalised(inputs.member_stds, "member_stds", 2)
            found[Signal.PREDICTIVE_ENTROPY] = gaussian_mixture_entropy(means, stds)

    def _chunk_signal(self, chunks: np.ndarray | None, found: dict[Signal, float]) -> None:
        if chunks is None:
            if len(self._volatilities) == self._window:
                found[Signal.TEMPORAL_CONSISTENCY] = float(np.std(self._volatilities))
            self._chunks = None
            return
        chunks = self._normalised(chunks, "chunks", 3)
        if self._chunks is not None:
            found[Signal.TEMPORAL_CONSISTENCY] = chunk_disagreement(self._chunks, chunks)
        self._chunks = chunks

    def _body_signals(self, inputs: StepInput, found: dict[Signal, float]) -> None:
        tool = None
        if inputs.tool_position is not None:
            tool = np.asarray(inputs.tool_position, np.float64)
        if tool is not None and self._tool is not None and inputs.commanded_translation is not None:
            commanded = np.asarray(inputs.commanded_translation, np.float64)
            found[Signal.EXECUTION_MISMATCH] = float(
                np.linalg.norm(commanded - (tool - self._tool))
            )
        self._tool = tool
        if inputs.joint_positions is not None and self._lower is not None:
            joints = np.asarray(inputs.joint_positions, np.float64)
            if joints.shape != self._lower.shape:
                raise ValueError(
                    f"joint_positions {joints.shape} do not match the limits {self._lower.shape}"
                )
            found[Signal.CONSTRAINT_MARGIN] = float(
                np.minimum(joints - self._lower, self._upper - joints).min()
            )


def available_signals(
    *,
    members: int,
    member_kind: str,
    has_distribution: bool,
    has_latent: bool,
    has_latent_statistics: bool,
    has_joint_limits: bool,
    has_tool_motion: bool = True,
) -> np.ndarray:
    """Which signals a policy can ever give, for SignalInfo.

    Args:
        members: Number of members.
        member_kind: As for `SignalComputer`.
        has_distribution: The policy gives token probabilities, or standard deviations of members.
        has_latent: The policy gives a latent.
        has_latent_statistics: Statistics of the training latents ship with the policy.
        has_joint_limits: Limits of the joints are known.
        has_tool_motion: The action moves the tool, and the robot tells where that is.

    Returns:
        (12,) bool, in the order of `Signal`.
    """
    available = np.ones(len(SIGNALS), bool)
    available[[Signal.LATENT_DRIFT, Signal.LATENT_NORM_SPIKE]] = has_latent
    available[Signal.OOD_DISTANCE] = has_latent and has_latent_statistics
    available[Signal.PREDICTIVE_ENTROPY] = has_distribution
    available[Signal.EPISTEMIC_UNCERTAINTY] = member_kind == "checkpoints" and members >= 2
    available[Signal.EXECUTION_MISMATCH] = has_tool_motion
    available[Signal.CONSTRAINT_MARGIN] = has_joint_limits
    return available
