# SPDX-License-Identifier: Apache-2.0
"""What passes between the parts of the episode loop: plain data, no messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from salus_core.failures import Outcome

if TYPE_CHECKING:
    from salus_core.episode_store.episodes import Fault
    from salus_core.signals import SignalValues


@dataclass(frozen=True)
class Observation:
    """What is seen of one step. What a robot does not have is None.

    Attributes:
        images: (H, W, 3) uint8, red first, by camera; read-only.
        joint_positions: (J,) in the environment's or the policy's order of joints [rad, m].
        joint_velocities: (J,) [rad/s, m/s]; for a policy zeros if the robot gives none.
        tool_position: (3,) in the frame of the actions [m].
        tool_quaternion: (4,) x, y, z, w.
        gripper_width: distance between the finger pads [m].
        instruction: what to do, in words.
        step: number of the step within the episode.
        stamp: time of the observation [ns]; None: a recorder has not learnt it.
    """

    images: Mapping[str, np.ndarray]
    joint_positions: np.ndarray | None
    joint_velocities: np.ndarray | None
    tool_position: np.ndarray | None
    tool_quaternion: np.ndarray | None
    gripper_width: float | None
    instruction: str
    step: int
    stamp: int | None = 0


@dataclass(frozen=True)
class PolicyOutput:
    """What the policy proposes at one step, in the units of its actions.

    What a policy cannot give is None; never a made-up value.

    Attributes:
        action: (A,) float64, the ensemble's mean first action, made ready to be executed.
        member_means: (K, A) first action of each member.
        member_stds: (K, A) standard deviations that the members predict for it, positive.
        chunks: (K, H, A) action chunk of each member; index 0 is this step.
        latent: (D,) pooled latent h_t; D is PolicyInfo's embedding_size.
        token_probabilities: (T, V) or (K, T, V) distribution of each action token.
        policy_action: (P,) the policy's own numbers, where `action` was converted from them.
    """

    action: np.ndarray
    member_means: np.ndarray | None = None
    member_stds: np.ndarray | None = None
    chunks: np.ndarray | None = None
    latent: np.ndarray | None = None
    token_probabilities: np.ndarray | None = None
    policy_action: np.ndarray | None = None


@dataclass(frozen=True)
class Proposal:
    """What the policy proposes at one step, as it is published and recorded.

    Attributes:
        action: (A,) float64.
        action_std: (A,) float32, spread of the members; None: not known.
        chunks: (K, H, A) float32; None: the policy gives none.
        embedding: (D,) float32; None: the policy gives none.
        signals: of the step; None: none are computed.
        policy_action: (P,) the policy's own numbers, where `action` was converted from them.
    """

    action: np.ndarray
    action_std: np.ndarray | None = None
    chunks: np.ndarray | None = None
    embedding: np.ndarray | None = None
    signals: SignalValues | None = None
    policy_action: np.ndarray | None = None


@dataclass(frozen=True)
class Forecast:
    """What the predictor says at one step. H horizons, K failure types.

    Attributes:
        status: one of FORECAST_STATUS_NAMES; without numbers unless 'ok' or 'warming_up'.
        probabilities: (H, K) float32; None: no numbers.
        risk: probability of any failure within the longest horizon.
        score: what the alarm looks at.
        threshold: the conformal threshold of the score; 0 without one.
        alarm: the score exceeds the threshold.
        likeliest_failure: code of a type, from 1; 0: no numbers.
        likeliest_horizon: the first one within which it is likely, or the longest [s].
        outcome_probabilities: (K,) float32, that the episode ends by each type; None: the predictor
            does not say.
    """

    status: str
    probabilities: np.ndarray | None = None
    risk: float = 0.0
    score: float = 0.0
    threshold: float = 0.0
    alarm: bool = False
    likeliest_failure: int = 0
    likeliest_horizon: float = 0.0
    outcome_probabilities: np.ndarray | None = None


@dataclass(frozen=True)
class SceneEstimate:
    """Places relative to the tool point at one step, as somebody estimates them; no ground truth.

    Attributes:
        names: of the S numbers; those of `salus_core.data.scene` mean the same here.
        values: (S,) [m], or shares from 0 to 1; NaN: not known.
        source: who estimates: a policy's head, or a perception node.
        std: (S,) the source's own standard deviation; None: it gives none.
    """

    names: tuple[str, ...]
    values: np.ndarray
    source: str
    std: np.ndarray | None = None


@dataclass(frozen=True)
class Monitored:
    """What the monitor makes of one step: the proposal with its signals, forecast and scene.

    Attributes:
        proposal: of the policy.
        forecast: None: nobody forecasts.
        scene: None: nobody estimates it.
        risk_of: scores that the forecast would have with other actions (N, A) -> (N,); valid until
            the next step; None: nobody can tell.
    """

    proposal: Proposal
    forecast: Forecast | None = None
    scene: SceneEstimate | None = None
    risk_of: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass
class GroundTruth:
    """What only a simulator knows of one step; no policy and no predictor may see it.

    Attributes:
        step: control steps since the reset.
        tool_position: (3,) achieved tool point [m].
        object_poses: by name (7,): position [m] and quaternion xyzw.
        gripper_width: distance between the pads [m].
        gripper_command: executed opening command [0 closed .. 1 open].
        grasped_object: object touched by both pads; '' is none.
        contact_force: largest force, in the last period, of the arm on anything but the target, or
            of the target on the obstacle while it was held [N].
        contact_body: what was hit; '' is nothing.
    """

    step: int
    tool_position: np.ndarray
    object_poses: dict[str, np.ndarray]
    gripper_width: float
    gripper_command: float
    grasped_object: str
    contact_force: float
    contact_body: str


@dataclass(frozen=True)
class StepRecord:
    """What a sink gets of one step; in a recording of a real robot any part may be missing.

    Attributes:
        observation: of the step.
        proposal: of the policy, with its signals.
        forecast: of the predictor.
        scene: as somebody estimates it.
        command: (A,) that was executed.
        intervention: one of INTERVENTION_NAMES.
        manoeuvre: name of what was done instead of the proposed action; empty: nothing.
        reason: why the supervisor changed the action; empty: it did not.
        truth: privileged; kept apart from what policies and predictors read.
        output: the policy's whole output; None: only the proposal is known.
        complete: nothing that is required is missing.
    """

    observation: Observation
    proposal: Proposal | None = None
    forecast: Forecast | None = None
    scene: SceneEstimate | None = None
    command: np.ndarray | None = None
    intervention: str | None = None
    manoeuvre: str = ""
    reason: str = ""
    truth: GroundTruth | None = None
    output: PolicyOutput | None = None
    complete: bool = True

    @property
    def step(self) -> int:
        """Number of the step within its episode."""
        return self.observation.step


@dataclass(frozen=True)
class EpisodeResult:
    """How an episode ended.

    Attributes:
        seed: of the episode.
        outcome: ABORTED: it came to no end that says anything.
        failure: name of its type; empty: there was none.
        onset_step: first step of the failure; of a success its last step.
        steps: until the outcome was certain.
        description: for people, with figures.
        faults: injected faults that had begun by then, in order of onset.
        refused: why the environment could not start this seed; empty: it could.
        info: what else the environment knows of the episode: its task, for example.
    """

    seed: int
    outcome: Outcome
    failure: str = ""
    onset_step: int = -1
    steps: int = 0
    description: str = ""
    faults: tuple[Fault, ...] = ()
    refused: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fault_before(self) -> bool:
        """An injected fault had begun at or before the onset of the failure, or the end."""
        return any(fault.onset_step <= self.onset_step for fault in self.faults)

    @property
    def name(self) -> str:
        """'success', 'aborted', or the type of failure."""
        if self.outcome == Outcome.FAILED:
            return self.failure
        return "success" if self.outcome == Outcome.SUCCEEDED else self.outcome.name.lower()
