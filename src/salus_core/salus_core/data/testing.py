# SPDX-License-Identifier: Apache-2.0
"""Episodes made up for tests: with a failure that can be foreseen, or that cannot."""

from __future__ import annotations

import numpy as np

from salus_core.actions import TOOL_MOTION, ActionSpec
from salus_core.data.step_data import EMBEDDING_DTYPE, EpisodeTable, StepData
from salus_core.episode_store.schema import RunSchema
from salus_core.episode_store.testing import JOINT_NAMES
from salus_core.failures import BUILT_IN, HORIZONS_S, Outcome, Taxonomy
from salus_core.labels import failure_labels
from salus_core.signals import SIGNAL_NAMES

PERIOD = 1.0 / 30.0
_MEMBERS, _SIZE = 2, 8
_WARNING = 20  # steps before the onset at which the latent begins to show it


def make_steps(
    episodes: int = 60,
    seed: int = 0,
    *,
    failing: float = 0.5,
    informative: bool = True,
    first_seed: int = 0,
    shuffled: bool = False,
    action: ActionSpec = TOOL_MOTION,
    taxonomy: Taxonomy = BUILT_IN,
    horizons: tuple[float, ...] = HORIZONS_S,
    period: float = PERIOD,
    joint_names: tuple[str, ...] = JOINT_NAMES,
) -> StepData:
    """Make episodes of 40 to 100 steps, most of them with little to tell them apart but the latent.

    Args:
        episodes: how many.
        seed: of everything random.
        failing: share of episodes that fail, by any type but timeout, at any step.
        informative: the latent and one signal show the failure and its type 20 steps ahead.
        first_seed: seed of the first episode.
        shuffled: give the episodes' outcomes to each other, so that nothing can be learned.
        action: what its numbers mean.
        taxonomy: the failure types.
        horizons: of the labels [s].
        period: seconds per step.
        joint_names: of the body.

    Returns:
        Data with embeddings of two members, chunks and two tasks.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(40, 101, episodes)
    failed = np.arange(episodes) < round(failing * episodes)
    rng.shuffle(failed)
    failure = np.where(failed, _types(rng, episodes, taxonomy), 0)
    onset = np.where(failed, rng.integers(5, lengths + 1), -1)
    number = int(lengths.sum())
    start = np.cumsum(lengths) - lengths
    step = np.arange(number) - np.repeat(start, lengths)
    episode = np.repeat(np.arange(episodes), lengths)
    names = RunSchema(
        control_period=period,
        signal_names=(),
        signal_units=(),
        signal_definitions=(),
        signal_available=(),
        joint_names=joint_names,
    ).state_names
    signals = rng.normal(size=(number, len(SIGNAL_NAMES))).astype(np.float32)
    valid = np.ones(signals.shape, bool)
    valid[step < 2, :4] = False
    embedding = rng.normal(size=(number, _MEMBERS * _SIZE)).astype(np.float32)
    if informative:
        ahead = onset[episode] - step
        sign = np.clip(1.0 - ahead / _WARNING, 0.0, 1.0) * (failed[episode] & (ahead > 0))
        signals[:, 8] += 2.0 * sign
        for member in range(_MEMBERS):
            embedding[np.arange(number), member * _SIZE + failure[episode]] += 5.0 * sign
    signals[~valid] = np.nan
    if shuffled:
        failure, onset = _exchange(rng, lengths, failure, onset)
    labels = np.zeros((number, len(horizons), taxonomy.size), bool)
    label_valid = np.zeros((number, len(horizons)), bool)
    for index in range(episodes):
        rows = slice(start[index], start[index] + lengths[index])
        kind = int(failure[index])
        outcome = Outcome.FAILED if kind else Outcome.SUCCEEDED
        found = failure_labels(
            lengths[index],
            outcome,
            kind,
            int(onset[index]),
            period,
            horizons=horizons,
            taxonomy=taxonomy,
        )
        labels[rows], label_valid[rows] = found.y, found.valid
    return StepData(
        signals=signals,
        valid=valid,
        proprioception=rng.normal(size=(number, len(names))).astype(np.float32),
        action=rng.normal(size=(number, action.size)).astype(np.float32),
        action_std=np.abs(rng.normal(size=(number, action.size))).astype(np.float32),
        embedding=embedding.astype(EMBEDDING_DTYPE),
        chunk=rng.normal(size=(number, _MEMBERS, 4, action.size)).astype(EMBEDDING_DTYPE),
        labels=labels,
        label_valid=label_valid,
        episode=episode,
        step=step,
        episodes=_table(rng, start, lengths, failure, onset, first_seed),
        proprioception_names=names,
        control_period=period,
        action_spec=action,
        taxonomy=taxonomy,
        horizons=horizons,
        schema_hash="made up",
        members=_MEMBERS,
        policies=(("made up", "00"),),
    )


def _types(rng: np.random.Generator, episodes: int, taxonomy: Taxonomy) -> np.ndarray:
    """A type but timeout for each episode; its latent's number must exist, so 7 types at most."""
    return np.array(taxonomy.main)[rng.integers(0, len(taxonomy.main), episodes)]


def _exchange(
    rng: np.random.Generator, lengths: np.ndarray, failure: np.ndarray, onset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(len(lengths))
    failure = failure[order]
    return failure, np.where(failure > 0, rng.integers(5, lengths + 1), -1)


def _table(
    rng: np.random.Generator,
    start: np.ndarray,
    lengths: np.ndarray,
    failure: np.ndarray,
    onset: np.ndarray,
    first_seed: int,
) -> EpisodeTable:
    number = len(lengths)

    def texts(values: list[object]) -> np.ndarray:
        column = np.empty(number, object)
        column[:] = values
        return column

    injected = rng.uniform(size=number) < 0.3
    tasks = [("put_on", "push")[index % 2] for index in range(number)]
    return EpisodeTable(
        start=start,
        length=lengths,
        outcome=np.where(failure > 0, Outcome.FAILED, Outcome.SUCCEEDED).astype(np.uint8),
        failure=failure.astype(np.uint8),
        onset_step=onset,
        seed=(first_seed + np.arange(number)).astype(np.uint64),
        intervened=np.zeros(number, bool),
        injected=injected,
        faults=texts([("arm_force",) if flag else () for flag in injected]),
        difficulty=texts(["standard"] * number),
        fault_profile=texts(["mixed"] * number),
        instruction=texts(tasks),
        task=texts(tasks),
        target=texts(["red_cube"] * number),
        max_steps=np.full(number, 200),
        run=texts(["made up"] * number),
    )
