# SPDX-License-Identifier: Apache-2.0
"""The monitor of the loop: the signals of each step, and the forecast made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from salus_core.actions import ActionKind, ActionSpec
from salus_core.runtime.types import (
    Forecast,
    Monitored,
    Observation,
    PolicyOutput,
    Proposal,
    SceneEstimate,
)
from salus_core.signals import SignalComputer, SignalValues, StepInput, member_variance

if TYPE_CHECKING:
    from salus_core.predictors.features import StepInputs
    from salus_core.predictors.model import NeuralPredictor, PredictorStream
    from salus_core.prevention.scene_head import SceneHead, SceneStream

_LIKELY = 0.5


def step_input(
    observation: Observation,
    output: PolicyOutput,
    command: np.ndarray | None,
    translation: Sequence[int] | None,
    joints: Sequence[int] | None = None,
) -> StepInput:
    """What the signals of a step are computed from.

    Args:
        observation: of the step.
        output: of the policy.
        command: executed since the observation before; None: not known.
        translation: the command's dimensions that move the tool, from `tool_translation`.
        joints: places of the joints whose limits are known; None: all.
    """
    positions = observation.joint_positions
    if joints is not None and positions is not None:
        positions = positions[list(joints)]
    moved = None
    if command is not None and translation is not None:
        moved = command[list(translation)]
    return StepInput(
        step=observation.step,
        action=output.action,
        member_means=output.member_means,
        member_stds=output.member_stds,
        token_probabilities=output.token_probabilities,
        latent=output.latent,
        chunks=output.chunks,
        tool_position=observation.tool_position,
        commanded_translation=moved,
        joint_positions=positions,
    )


def tool_translation(action: ActionSpec) -> list[int] | None:
    """Dimensions of an action that move the tool whose pose is observed.

    Returns:
        Three of them; None: no tool is moved, or several are, and nobody says which one the tool
        pose is.
    """
    found = action.indices(ActionKind.TOOL_TRANSLATION)
    return found if len(found) == 3 else None


def make_proposal(output: PolicyOutput, signals: SignalValues | None) -> Proposal:
    """What is published and recorded of an output: float32 but for the action."""
    means = output.member_means
    several = means is not None and len(means) > 1
    return Proposal(
        action=np.array(output.action, np.float64),
        action_std=np.sqrt(member_variance(means)).astype(np.float32) if several else None,
        chunks=_single(output.chunks),
        embedding=_single(output.latent),
        signals=signals,
        policy_action=output.policy_action,
    )


def _single(values: np.ndarray | None) -> np.ndarray | None:
    return None if values is None else np.asarray(values, np.float32)


class SignalMonitor:
    """Signals of every lane, and forecasts if there is a predictor.

    Args:
        make_signals: gives the SignalComputer of a lane.
        action: what the policy's numbers are.
        signal_joints: places, among the observation's joints, of those that the signals watch;
            None: all.
        predictor: that forecasts; None: no forecasts.
        joint_names: of the observation's joints, for a predictor that reads proprioception.
        scene_head: that estimates where things are; None: nobody does.
        alternatives: supervisors may ask what the forecast would be with other actions.
    """

    def __init__(
        self,
        make_signals: Callable[[], SignalComputer],
        action: ActionSpec,
        signal_joints: Sequence[int] | None = None,
        predictor: NeuralPredictor | None = None,
        joint_names: Sequence[str] = (),
        scene_head: SceneHead | None = None,
        alternatives: bool = False,
    ):
        self._make_signals = make_signals
        self._translation = tool_translation(action)
        self._joints = None if signal_joints is None else list(signal_joints)
        self._signals: dict[int, SignalComputer] = {}
        self._predictor = predictor
        self._joint_names = tuple(joint_names)
        self._streams: dict[int, PredictorStream] = {}
        self._scene_head = scene_head
        self._alternatives = alternatives
        self._scenes: dict[int, SceneStream] = {}

    def reset(self, lane: int) -> None:
        """See Monitor."""
        if lane not in self._signals:
            self._signals[lane] = self._make_signals()
            if self._predictor is not None:
                self._streams[lane] = self._predictor.stream()
                self._streams[lane].remembers = self._alternatives
            if self._scene_head is not None:
                self._scenes[lane] = self._scene_head.stream()
        self._signals[lane].reset()
        if self._scene_head is not None:
            self._scenes[lane].reset()
        if self._predictor is not None:
            self._streams[lane].reset()

    def observe(
        self,
        observations: Mapping[int, Observation],
        outputs: Mapping[int, PolicyOutput],
        commands: Mapping[int, np.ndarray | None],
    ) -> dict[int, Monitored]:
        """See Monitor.

        Raises:
            ValueError: an output does not fit the signals; the message says how.
        """
        found = {}
        for lane, observation in observations.items():
            inputs = step_input(
                observation, outputs[lane], commands[lane], self._translation, self._joints
            )
            proposal = make_proposal(outputs[lane], self._signals[lane].update(inputs))
            scene = None
            if self._scene_head is not None:
                scene = self._scenes[lane].update(observation, proposal.embedding)
            found[lane] = self._monitored(lane, observation, proposal, scene)
        return found

    def _monitored(
        self,
        lane: int,
        observation: Observation,
        proposal: Proposal,
        scene: SceneEstimate | None,
    ) -> Monitored:
        if self._predictor is None:
            return Monitored(proposal, None, scene)
        stream = self._streams[lane]
        layout = self._predictor.layout
        body = body_vector(observation, self._joint_names, layout.proprioception_names)
        inputs = predictor_inputs(proposal, body, layout.embedding_size)
        probabilities = stream.update(inputs)
        forecast = make_forecast(
            self._predictor,
            observation.step,
            probabilities,
            stream.score,
            stream.outlook,
            stream.warming_up,
        )
        risk_of = partial(stream.risks_of, inputs) if self._alternatives else None
        return Monitored(proposal, forecast, scene, risk_of)


def body_vector(
    observation: Observation, joint_names: Sequence[str], wanted: Sequence[str]
) -> np.ndarray:
    """Proprioception (P,) float32 in a predictor's order; NaN: the observation does not have it.

    Args:
        observation: with its joints in the order of `joint_names`.
        joint_names: J names.
        wanted: P names: `position.JOINT`, `velocity.JOINT`, `tool.x` and so on.
    """
    known: dict[str, float] = {}
    for quantity, values in (
        ("position", observation.joint_positions),
        ("velocity", observation.joint_velocities),
    ):
        if values is not None:
            known |= {
                f"{quantity}.{name}": value for name, value in zip(joint_names, values, strict=True)
            }
    if observation.tool_position is not None and observation.tool_quaternion is not None:
        pose = (*observation.tool_position, *observation.tool_quaternion)
        axes = ("x", "y", "z", "qx", "qy", "qz", "qw")
        known |= {f"tool.{axis}": value for axis, value in zip(axes, pose, strict=True)}
    return np.array([known.get(name, np.nan) for name in wanted], np.float32)


def predictor_inputs(proposal: Proposal, body: np.ndarray, embedding_size: int) -> StepInputs:
    """What a predictor reads of a step.

    Args:
        proposal: with its signals.
        body: (P,) proprioception.
        embedding_size: D that the predictor reads; 0: none.
    """
    from salus_core.predictors.features import StepInputs

    signals = proposal.signals
    nothing = np.full(len(proposal.action), np.nan, np.float32)
    return StepInputs(
        signals=np.where(signals.valid, signals.values, np.float32(np.nan)),
        valid=signals.valid,
        proprioception=body,
        action=np.asarray(proposal.action, np.float32),
        action_std=nothing if proposal.action_std is None else proposal.action_std,
        embedding=proposal.embedding if embedding_size else np.zeros(0, np.float32),
    )


def make_forecast(
    predictor: NeuralPredictor,
    step: int,
    probabilities: np.ndarray,
    score: float,
    outlook: np.ndarray | None,
    warming_up: bool,
) -> Forecast:
    """The forecast of a step, live and offline.

    Args:
        predictor: whose conformal threshold gives the alarm.
        step: number in the episode.
        probabilities: (H, K) of a stream's update.
        score: what the alarm looks at.
        outlook: (K,) probabilities of the episode's end; None: the predictor does not say.
        warming_up: the predictor's memory is not full yet.

    Returns:
        With the status "invalid_input" and no numbers if one of them is not finite.
    """
    from salus_core.predictors.interface import risk

    if not (np.isfinite(score) and np.isfinite(probabilities).all()):
        return Forecast("invalid_input")
    edge, threshold = _LIKELY, 0.0
    if predictor.band is not None:
        edge = float(predictor.band.edge(step))
        threshold = edge if np.isfinite(edge) else float(np.finfo(np.float32).max)
    kind = int(np.argmax(probabilities[-1] if outlook is None else outlook))
    # The edge of an outlook's band is of the whole episode.
    likely = np.flatnonzero(probabilities[:, kind] > (edge if outlook is None else _LIKELY))
    named = predictor.band is not None and likely.size
    return Forecast(
        status="warming_up" if warming_up else "ok",
        probabilities=np.asarray(probabilities, np.float32),
        risk=float(risk(probabilities)),
        score=score,
        threshold=threshold,
        alarm=predictor.band is not None and score > edge,
        likeliest_failure=kind + 1,
        likeliest_horizon=predictor.horizons[likely[0] if named else -1],
        outcome_probabilities=outlook,
    )
