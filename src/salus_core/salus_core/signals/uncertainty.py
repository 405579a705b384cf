# SPDX-License-Identifier: Apache-2.0
"""Uncertainty of a predicted action: entropy, disagreement of members, consistency of chunks."""

import numpy as np


def gaussian_mixture_entropy(means: np.ndarray, stds: np.ndarray) -> float:
    """Entropy of an equally weighted mixture of Gaussians with diagonal covariance.

    A mixture's entropy has no closed form. This is the upper bound from pairwise Kullback-Leibler
    divergences: deterministic, exact for one member, for coinciding members and, in the limit, for
    members far apart.

    Source: Kolchinsky and Tracey, Estimating Mixture Entropy with Pairwise Distances, Entropy
    19(7):361, 2017: H = sum_i w_i H(p_i) - sum_i w_i ln sum_j w_j exp(-KL(p_i || p_j)).

    Args:
        means: (K, D) means of the members.
        stds: (K, D) standard deviations of the members, all positive.

    Returns:
        The entropy [nat]; it is differential, so it can be negative.

    Raises:
        ValueError: Shapes differ or a standard deviation is not positive.
    """
    means = np.asarray(means, np.float64)
    stds = np.asarray(stds, np.float64)
    if means.ndim != 2 or means.shape != stds.shape:
        raise ValueError(f"means {means.shape} and stds {stds.shape} must both be (K, D)")
    if not np.all(stds > 0.0):
        raise ValueError("every standard deviation must be positive")
    variances = stds**2
    entropies = 0.5 * np.log(2.0 * np.pi * np.e * variances).sum(axis=1)
    ratio = variances[:, None, :] / variances[None, :, :]
    distance = (means[:, None, :] - means[None, :, :]) ** 2 / variances[None, :, :]
    divergence = 0.5 * (ratio + distance - 1.0 - np.log(ratio)).sum(axis=2)
    # The diagonal is zero, so the sum is at least 1/K: the logarithm is finite.
    overlap = np.log(np.exp(-divergence).mean(axis=1))
    return float(np.mean(entropies - overlap))


def token_entropy(probabilities: np.ndarray) -> float:
    """Entropy of an action that is predicted as tokens.

    The sum over the tokens of one action: by the chain rule the entropy of the whole action, each
    token's distribution being conditional on the tokens decoded before it. Members are averaged
    into one distribution first.

    Args:
        probabilities: (T, V) or, with members, (K, T, V); each row sums to one.

    Returns:
        The entropy [nat].

    Raises:
        ValueError: The shape is different, or a row is not a probability distribution.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.ndim == 3:
        probabilities = probabilities.mean(axis=0)
    if probabilities.ndim != 2:
        raise ValueError(
            f"token probabilities {probabilities.shape} must be (tokens, vocabulary) or "
            "(members, tokens, vocabulary)"
        )
    sums = probabilities.sum(axis=1)
    if not (np.all(probabilities >= 0.0) and np.allclose(sums, 1.0, atol=1e-3)):
        raise ValueError(
            f"token probabilities must be non-negative with rows summing to 1, got sums from "
            f"{sums.min():.4g} to {sums.max():.4g}"
        )
    logarithms = np.log(np.where(probabilities > 0.0, probabilities, 1.0))
    return float(-(probabilities * logarithms).sum())


def member_variance(member_means: np.ndarray) -> np.ndarray:
    """Unbiased variance of the members' means, comparable between ensembles of different size.

    Args:
        member_means: (K, D) with K of at least two.

    Returns:
        (D,) variance per dimension, in the units of the means squared.

    Raises:
        ValueError: There are fewer than two members: one member has no disagreement.
    """
    member_means = np.asarray(member_means, np.float64)
    if member_means.ndim != 2 or len(member_means) < 2:
        raise ValueError(f"member means {member_means.shape} must be (K, D) with K >= 2")
    return member_means.var(axis=0, ddof=1)


def chunk_disagreement(previous: np.ndarray, current: np.ndarray) -> float:
    """Distance between the overlapping parts of the action chunks of two consecutive steps.

    The chunk of the last step said at index i + 1 what the chunk of this step says at index i.
    Each member is compared with itself.

    Source: the statistic of Sentinel (Agia et al., Unpacking Failure Modes of Generative Policies,
    CoRL 2024) for one sample: the mean distance of the overlap.

    Args:
        previous: (K, H, D) chunks of the last step, normalised; H of at least two.
        current: (K, H, D) chunks of this step, normalised.

    Returns:
        Mean over members and overlapping steps of the Euclidean distance, normalised action units.

    Raises:
        ValueError: Shapes differ or there is no overlap.
    """
    previous = np.asarray(previous, np.float64)
    current = np.asarray(current, np.float64)
    if previous.shape != current.shape or current.ndim != 3 or current.shape[1] < 2:
        raise ValueError(
            f"chunks {previous.shape} and {current.shape} must both be (K, H, D) with H >= 2"
        )
    return float(np.linalg.norm(previous[:, 1:] - current[:, :-1], axis=2).mean())
