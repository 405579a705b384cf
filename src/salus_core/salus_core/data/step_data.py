# SPDX-License-Identifier: Apache-2.0
"""Steps of many episodes in memory: what predictors and baselines learn from and are scored on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from salus_core.actions import TOOL_MOTION, ActionSpec
from salus_core.failures import BUILT_IN, HORIZONS_S, FailureType, Outcome, Taxonomy

EMBEDDING_DTYPE = np.float16
"""Embeddings are kept in half precision; the live node rounds what it receives the same way."""


@dataclass(frozen=True)
class EpisodeTable:
    """One row per episode, E rows.

    Attributes:
        start: (E,) int64, first row of the episode in the step arrays.
        length: (E,) int64, steps; its rows are start to start + length - 1.
        outcome: (E,) uint8, `Outcome`.
        failure: (E,) uint8, code of the type in the taxonomy; 0 unless the outcome is FAILED.
        onset_step: (E,) int64, -1: no failure; may equal `length`.
        seed: (E,) uint64.
        intervened: (E,) bool, the supervisor changed an action: all its steps are censored.
        injected: (E,) bool, a fault had begun when the failure began (without a failure: within the
            episode). A failed episode that is not injected failed by itself ("natural").
        faults: (E,) object, tuple of the kinds of all injected faults, in order of onset.
        difficulty: (E,) object, str.
        fault_profile: (E,) object, str.
        instruction: (E,) object, str.
        task: (E,) object, str: what the instruction asks for ("stack"), else the instruction.
        target: (E,) object, str: the target object ("red_cube"); "": not known.
        max_steps: (E,) int64, after which the episode fails by timeout; 0: not known.
        run: (E,) object, str: folder of the run it comes from, without symbolic links.
        group: (E,) object, str: of `group_of`, by which splits by fraction know it; "": of no run.
    """

    start: np.ndarray
    length: np.ndarray
    outcome: np.ndarray
    failure: np.ndarray
    onset_step: np.ndarray
    seed: np.ndarray
    intervened: np.ndarray
    injected: np.ndarray
    faults: np.ndarray
    difficulty: np.ndarray
    fault_profile: np.ndarray
    instruction: np.ndarray
    task: np.ndarray
    target: np.ndarray
    max_steps: np.ndarray
    run: np.ndarray
    group: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.group is None:
            object.__setattr__(self, "group", np.full(len(self.start), "", object))

    def __len__(self) -> int:
        return len(self.start)

    @property
    def groups(self) -> np.ndarray:
        """(E,) object, `group` as it is after construction."""
        assert self.group is not None
        return self.group

    @property
    def succeeded(self) -> np.ndarray:
        """(E,) bool."""
        return self.outcome == Outcome.SUCCEEDED

    @property
    def failed(self) -> np.ndarray:
        """(E,) bool."""
        return self.outcome == Outcome.FAILED

    @property
    def timed_out(self) -> np.ndarray:
        """(E,) bool, failures that are nearly a clock; reported apart."""
        return self.failure == FailureType.TIMEOUT


@dataclass(frozen=True)
class StepData:
    """N steps of E episodes, end to end; rows of one episode are consecutive and in order.

    Attributes:
        signals: (N, 12) float32, in the order of `Signal`; NaN where not valid.
        valid: (N, 12) bool.
        proprioception: (N, P) float32: joint positions [rad, m], joint velocities, tool pose
            (position [m], quaternion x y z w); `proprioception_names` says which.
        action: (N, A) float32, proposed by the policy.
        action_std: (N, A) float32, spread of the members; 0 where there is but one, NaN: not
            known.
        embedding: (N, D) float16, the members' latents; D may be 0.
        labels: (N, H, K) bool; [t, h, k]: failure k has its onset within horizon h after step t.
        label_valid: (N, H) bool; False: censored, nothing may be learned or scored there.
        episode: (N,) int64, index into `episodes`.
        step: (N,) int64, number within the episode, from 0.
        episodes: table with one row per episode.
        chunk: (N, M, L, A) float16, action chunks of the members; None: not read or not recorded.
        scene: (N, S) float32, ground truth of `salus_core.data.scene`, NaN: not known; None: not
            read. Privileged: targets of training and ablations, never an input of a forecast.
        proprioception_names: P names, as the runs' attribute `state_names`.
        control_period: seconds per step.
        action_spec: names, units, kinds and scale of the A dimensions.
        taxonomy: the K failure types.
        horizons: the H horizons of the labels [s], ascending.
        schema_hash: SignalInfo's, of all runs.
        members: of the ensemble; the embedding is theirs, one after the other.
        policies: names and hashes of the policies that the runs were recorded with.
    """

    signals: np.ndarray
    valid: np.ndarray
    proprioception: np.ndarray
    action: np.ndarray
    action_std: np.ndarray
    embedding: np.ndarray
    labels: np.ndarray
    label_valid: np.ndarray
    episode: np.ndarray
    step: np.ndarray
    episodes: EpisodeTable
    chunk: np.ndarray | None = None
    scene: np.ndarray | None = None
    proprioception_names: tuple[str, ...] = ()
    control_period: float = 1.0 / 30.0
    action_spec: ActionSpec = TOOL_MOTION
    taxonomy: Taxonomy = BUILT_IN
    horizons: tuple[float, ...] = HORIZONS_S
    schema_hash: str = ""
    members: int = 0
    policies: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.step)

    @property
    def action_scale(self) -> np.ndarray:
        """(A,) float32, one normalised action unit per dimension; 1 where it is not known."""
        return np.array(self.action_spec.scale or (1.0,) * self.action_spec.size, np.float32)

    @property
    def missing(self) -> dict[str, int]:
        """How many steps lack each input; a chunk is counted only if chunks were read."""
        bare = np.ones(len(self), bool)
        body = self.proprioception
        lacks = {
            "signals": ~self.valid.any(axis=1),
            # Velocities may be missing throughout; without a message all is blank.
            "proprioception": np.isnan(body).all(axis=1) if body.shape[1] else bare,
            "action": np.isnan(self.action).any(axis=1),
            "action_std": np.isnan(self.action_std).any(axis=1),
            "embedding": np.isnan(self.embedding).any(axis=1) if self.embedding.size else bare,
        }
        if self.chunk is not None:
            lacks["chunk"] = np.isnan(self.chunk).any(axis=(1, 2, 3))
        return {name: int(steps.sum()) for name, steps in lacks.items()}

    @property
    def censored(self) -> np.ndarray:
        """(N,) bool, the label of some horizon is not known."""
        return ~self.label_valid.all(axis=1)

    @property
    def known_proprioception(self) -> tuple[str, ...]:
        """Names of the columns of proprioception that some step has a value of."""
        known = np.isfinite(self.proprioception).any(axis=0)
        pairs = zip(self.proprioception_names, known, strict=True)
        return tuple(name for name, there in pairs if there)

    def with_proprioception(self, names: tuple[str, ...]) -> StepData:
        """The same steps with these columns of proprioception alone, in this order.

        A step that lacks one of them, but for a velocity, has none: so a live node has it.

        Raises:
            ValueError: the data have no such column.
        """
        chosen = self.proprioception[:, [self.proprioception_names.index(name) for name in names]]
        blank_incomplete(chosen, measured(names))
        return dataclasses.replace(self, proprioception=chosen, proprioception_names=names)

    def rows(self, episode: int) -> slice:
        """Rows of one episode."""
        start = int(self.episodes.start[episode])
        return slice(start, start + int(self.episodes.length[episode]))

    def iterate(self) -> Iterator[tuple[int, slice]]:
        """Index and rows of each episode."""
        return ((episode, self.rows(episode)) for episode in range(len(self.episodes)))

    def select(self, episodes: np.ndarray) -> StepData:
        """The steps of some episodes, copied.

        Args:
            episodes: (E,) bool, or indices in the wanted order; steps cannot be chosen, as a split
                over steps leaks.

        Returns:
            Data whose episodes are numbered anew from 0.
        """
        chosen = np.asarray(episodes)
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        lengths = self.episodes.length[chosen]
        starts = self.episodes.start[chosen]
        new_starts = np.cumsum(lengths) - lengths
        rows = np.repeat(starts - new_starts, lengths) + np.arange(lengths.sum())
        table = {
            field.name: getattr(self.episodes, field.name)[chosen]
            for field in dataclasses.fields(EpisodeTable)
        }
        table["start"] = new_starts
        arrays = {name: getattr(self, name) for name in STEP_ARRAYS}
        steps = {name: array[rows] for name, array in arrays.items() if array is not None}
        steps["episode"] = np.repeat(np.arange(len(chosen)), lengths)
        return dataclasses.replace(self, **steps, episodes=EpisodeTable(**table))


def measured(names: Sequence[str]) -> np.ndarray:
    """(P,) bool, columns of proprioception that a body's message must have: not velocities."""
    return np.array([not name.startswith("velocity.") for name in names], bool)


def blank_incomplete(body: np.ndarray, needed: np.ndarray) -> None:
    """Blank the rows of a body (N, P) that lack a needed column, in place."""
    body[np.isnan(body[:, needed]).any(axis=1)] = np.nan


STEP_ARRAYS = (
    "signals",
    "valid",
    "proprioception",
    "action",
    "action_std",
    "embedding",
    "labels",
    "label_valid",
    "episode",
    "step",
    "chunk",
    "scene",
)
"""Fields of StepData with one row per step."""
