# SPDX-License-Identifier: Apache-2.0
"""Labels of steps: derived from an episode's outcome when data is read, never stored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from salus_core.failures import BUILT_IN, HORIZONS_S, Outcome, Taxonomy, checked_horizons


@dataclass(frozen=True)
class Labels:
    """Labels of one episode's T steps, H horizons and K failure types.

    Attributes:
        y: (T, H, K) bool; y[t, h, k]: failure k has its onset at t_f with 0 < t_f - t <= h.
        valid: (T, H) bool; False where the label is censored: nothing may be learned or scored
            there.
    """

    y: np.ndarray
    valid: np.ndarray


def horizon_steps(control_period: float, horizons: Sequence[float] = HORIZONS_S) -> np.ndarray:
    """Horizons in control steps, rounded to the nearest: 6, 9, 12 and 15 at 30 Hz.

    Args:
        control_period: seconds per step.
        horizons: [s].

    Returns:
        (H,) int64.

    Raises:
        ValueError: the horizons are not ascending, one is shorter than half a step, two are the
            same number of steps, or the period is not positive.
    """
    if not control_period > 0:
        raise ValueError(f"control_period must be positive: {control_period}")
    horizons = checked_horizons(horizons)
    steps = np.rint(np.asarray(horizons, float) / control_period).astype(np.int64)
    if np.any(steps < 1):
        raise ValueError(
            f"horizons {horizons} s begin below one step of {control_period:g} s: leave the "
            "shortest ones out"
        )
    if len(set(steps.tolist())) < len(steps):
        raise ValueError(
            f"some of the horizons {horizons} s are the same number of steps of "
            f"{control_period:g} s: leave out those that are too near to each other"
        )
    return steps


def failure_labels(
    length: int,
    outcome: Outcome,
    failure: int,
    onset_step: int,
    control_period: float,
    intervened: bool = False,
    horizons: Sequence[float] = HORIZONS_S,
    taxonomy: Taxonomy = BUILT_IN,
) -> Labels:
    """Label the steps of an episode.

    Censored are: the steps from the onset on; all steps of an episode with an intervention (it may
    have prevented or caused what came); of an aborted episode each horizon that reaches beyond the
    last step.

    Args:
        length: recorded steps T.
        outcome: an ended episode's.
        failure: code of its type in the taxonomy; not 0 exactly if `outcome` is FAILED.
        onset_step: step of the onset; may equal `length` (the failure is seen in the observation
            that ends the episode, which is not a row). Only read if the outcome is FAILED.
        control_period: seconds per step.
        intervened: the supervisor changed an action of this episode.
        horizons: [s].
        taxonomy: the K types.

    Raises:
        ValueError: the arguments contradict each other.
        TaxonomyError: there is no such type.
    """
    if outcome == Outcome.RUNNING:
        raise ValueError("an episode that is still running has no labels")
    name = taxonomy.name(failure)
    if (outcome == Outcome.FAILED) != bool(name):
        raise ValueError(f"outcome {outcome.name} contradicts failure '{name or 'none'}'")
    reach = horizon_steps(control_period, horizons)
    step = np.arange(length)
    y = np.zeros((length, len(reach), taxonomy.size), bool)
    valid = np.full((length, len(reach)), not intervened)
    if outcome == Outcome.FAILED:
        if not 0 <= onset_step <= length:
            raise ValueError(f"onset step {onset_step} lies outside the episode's 0 to {length}")
        ahead = (onset_step - step)[:, None]
        y[:, :, failure - 1] = (ahead > 0) & (ahead <= reach)
        valid &= ahead > 0
    elif outcome == Outcome.ABORTED:
        valid &= (step[:, None] + reach) < length
    return Labels(y=y, valid=valid)
