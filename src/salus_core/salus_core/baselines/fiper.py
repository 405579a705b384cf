# SPDX-License-Identifier: Apache-2.0
"""FIPER: unfamiliar observation and uncertain action at once (Roemer et al., NeurIPS 2025)."""

import numpy as np

from salus_core.baselines.base import Baseline, BaselineError, carry, chunks, window_mean
from salus_core.baselines.density import RandomDistillation
from salus_core.calibration.band import ConformalBand, fewest_episodes
from salus_core.data import StepData

HELD_OUT = 0.3
"""Share of successful training episodes that the thresholds are made from."""


class Fiper(Baseline):
    """Random network distillation on the latent, and entropy of the action chunks.

    Each is averaged over a short window and measured against a conformal band of its own from
    successes; the alarm needs both, so the score is the smaller of the two. Failures are not used.

    What differs from the paper: the entropy is that of a Gaussian per dimension and step ahead,
    fitted to the members' chunks, because the embedded ensemble has a handful of samples, too few
    for the paper's histogram.

    Args:
        window: steps that are averaged.
        alpha: of the two inner bands.
        seed: of the split of successes and of the networks.
    """

    name = "fiper"
    needs_chunks = True

    def __init__(self, window: int = 10, alpha: float = 0.1, seed: int = 0):
        self._window, self._alpha, self._seed = window, alpha, seed
        self._distillation = RandomDistillation(with_action=False, seed=seed)

    def fit(self, train: StepData) -> "Fiper":
        """Train on most successes, and make the bands from the others."""
        table = train.episodes
        good = np.flatnonzero(table.succeeded & ~table.intervened)
        good = np.random.default_rng(self._seed).permutation(good)
        held_out = np.sort(good[: max(int(HELD_OUT * len(good)), fewest_episodes(self._alpha))])
        others = np.setdiff1d(good, held_out)
        if not len(others):
            raise BaselineError(
                f"baseline '{self.name}' needs more than {fewest_episodes(self._alpha)} successful "
                f"training episodes, there are {len(good)}"
            )
        self._distillation.fit(train.select(others))
        calibration = train.select(held_out)
        steps = int(table.max_steps.max(initial=0))
        self._bands = [
            ConformalBand.fit(
                score,
                calibration.episodes.start,
                calibration.episodes.length,
                self._alpha,
                max(steps, 1),
                seed=self._seed,
            )
            for score in self._parts(calibration)
        ]
        return self

    def scores(self, data: StepData) -> np.ndarray:
        """Smaller of the two deviations, each over its band's quantile scaled to 1."""
        relative = [
            (score - band.mean[step]) / band.modulation[step] - band.quantile
            for score, band in zip(self._parts(data), self._bands, strict=True)
            for step in [np.minimum(data.step, band.steps - 1)]
        ]
        return np.minimum(*relative).astype(np.float32)

    def _parts(self, data: StepData) -> tuple[np.ndarray, np.ndarray]:
        entropy = carry(chunk_entropy(chunks(data, self.name)), data)
        return tuple(
            window_mean(score, data, self._window)
            for score in (self._distillation.scores(data), entropy)
        )


def chunk_entropy(chunk: np.ndarray, floor: float = 1e-6) -> np.ndarray:
    """Entropy of a Gaussian per step ahead and dimension, added up [nat].

    Args:
        chunk: (N, M, L, A), M members.
        floor: least variance; two members that agree exactly are not infinitely certain.

    Returns:
        (N,).

    Raises:
        BaselineError: there is but one member.
    """
    if chunk.shape[1] < 2:
        raise BaselineError("the entropy of action chunks needs two or more members")
    variance = chunk.var(axis=1, ddof=1) + floor
    return 0.5 * np.log(2.0 * np.pi * np.e * variance).sum(axis=(1, 2))
