# SPDX-License-Identifier: Apache-2.0
"""Statistics of a policy's training latents, for the out-of-distribution distance."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file


@dataclass(frozen=True)
class LatentStatistics:
    """Mean and precision of training latents.

    Attributes:
        mean: (D,) float64.
        precision_cholesky: (D, D) float64, lower triangular L with L L^T the inverse of the shrunk
            covariance.
        count: Latents that the statistics were fitted to.
    """

    mean: np.ndarray
    precision_cholesky: np.ndarray
    count: int

    def distance(self, latent: np.ndarray) -> float:
        """Mahalanobis distance sqrt((h - mean)^T P (h - mean)).

        Args:
            latent: (D,).

        Returns:
            The distance; for latents from the training distribution about sqrt(D).
        """
        centred = np.asarray(latent, np.float64) - self.mean
        return float(np.linalg.norm(centred @ self.precision_cholesky))

    def save(self, path: Path | str) -> None:
        """Writes a safetensors file, in double precision.

        Args:
            path: The file; its folder must exist.
        """
        save_file(
            {
                "mean": self.mean,
                "precision_cholesky": self.precision_cholesky,
                "count": np.array(self.count, np.int64),
            },
            str(path),
        )

    @classmethod
    def load(cls, path: Path | str) -> "LatentStatistics":
        """Reads what `save` wrote.

        Args:
            path: The safetensors file.

        Returns:
            The statistics.

        Raises:
            ValueError: The file is missing, damaged or has other contents.
        """
        try:
            tensors = load_file(str(path))
        except (OSError, SafetensorError) as error:
            raise ValueError(f"cannot read latent statistics from {path}: {error}") from error
        missing = {"mean", "precision_cholesky", "count"} - tensors.keys()
        if missing:
            raise ValueError(f"latent statistics {path} lack {', '.join(sorted(missing))}")
        mean, cholesky = tensors["mean"], tensors["precision_cholesky"]
        if mean.ndim != 1 or cholesky.shape != (len(mean), len(mean)):
            raise ValueError(
                f"latent statistics {path} have mean {mean.shape} and precision {cholesky.shape}, "
                "expected (D,) and (D, D)"
            )
        count = tensors["count"]
        if not (np.isfinite(mean).all() and np.isfinite(cholesky).all() and count.size == 1):
            raise ValueError(f"latent statistics {path} hold a number that is not finite")
        return cls(mean.astype(np.float64), cholesky.astype(np.float64), int(count.reshape(())))


def fit_latent_statistics(latents: np.ndarray) -> LatentStatistics:
    """Fits mean and precision to the latents of a policy on its own training observations.

    Args:
        latents: (N, D), N of at least two; from training data only, or the distance is no longer
            a distance from what the policy has seen.

    Returns:
        The statistics.

    Raises:
        ValueError: The shape is different, a value is not finite, or the latents do not vary.
    """
    latents = np.asarray(latents, np.float64)
    if latents.ndim != 2 or len(latents) < 2:
        raise ValueError(f"latents {latents.shape} must be (N, D) with N >= 2")
    if not np.all(np.isfinite(latents)):
        raise ValueError("latents hold NaN or infinity")
    # Only here: a node reads statistics and fits none.
    from sklearn.covariance import LedoitWolf

    covariance = LedoitWolf().fit(latents).covariance_  # shrunk towards the identity
    try:
        # P = C^-1 = (U U^T)^-1 with C = A A^T gives P = A^-T A^-1; its own Cholesky factor is
        # taken so that the stored matrix is triangular.
        precision = np.linalg.inv(covariance)
        cholesky = np.linalg.cholesky((precision + precision.T) / 2.0)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "the latents' covariance is singular: they are constant or nearly so"
        ) from error
    return LatentStatistics(latents.mean(axis=0), cholesky, len(latents))
