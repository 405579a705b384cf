# SPDX-License-Identifier: Apache-2.0
"""Entropies, variances and latent statistics, against closed forms and independent estimates."""

import numpy as np
import pytest

from salus_core.signals import (
    LatentStatistics,
    chunk_disagreement,
    fit_latent_statistics,
    gaussian_mixture_entropy,
    member_variance,
    token_entropy,
)

UNIT_GAUSSIAN = 0.5 * np.log(2 * np.pi * np.e)


def test_mixture_of_equal_members_has_the_entropy_of_one():
    assert gaussian_mixture_entropy(np.zeros((5, 2)), np.full((5, 2), 2.0)) == pytest.approx(
        2 * (UNIT_GAUSSIAN + np.log(2.0))
    )


def test_mixture_of_distant_members_adds_the_entropy_of_the_choice():
    means = np.array([[0.0], [1000.0], [2000.0]])
    assert gaussian_mixture_entropy(means, np.ones((3, 1))) == pytest.approx(
        UNIT_GAUSSIAN + np.log(3.0)
    )


def test_mixture_entropy_by_hand_for_two_members():
    # KL between unit Gaussians at distance 2 is 2: H + ln 2 - ln(1 + e^-2).
    entropy = gaussian_mixture_entropy(np.array([[0.0], [2.0]]), np.ones((2, 1)))
    assert entropy == pytest.approx(UNIT_GAUSSIAN + np.log(2.0) - np.log1p(np.exp(-2.0)))


def test_mixture_entropy_is_an_upper_bound_near_the_sampled_entropy():
    rng = np.random.default_rng(1)
    means = rng.normal(size=(5, 3))
    stds = rng.uniform(0.5, 1.5, size=(5, 3))
    member = rng.integers(5, size=40_000)
    x = means[member] + stds[member] * rng.normal(size=(len(member), 3))
    z = (x[:, None] - means) / stds
    log_density = (-0.5 * z**2 - np.log(stds) - 0.5 * np.log(2 * np.pi)).sum(axis=2)
    sampled = -np.mean(np.log(np.exp(log_density).mean(axis=1)))
    bound = gaussian_mixture_entropy(means, stds)
    assert sampled < bound < sampled + 0.5


def test_mixture_entropy_refuses_a_deviation_of_zero():
    with pytest.raises(ValueError, match="positive"):
        gaussian_mixture_entropy(np.zeros((2, 1)), np.array([[1.0], [0.0]]))


def test_token_entropy_adds_tokens_and_averages_members():
    certain, even = [1.0, 0.0], [0.5, 0.5]
    assert token_entropy(np.array([certain, even])) == pytest.approx(np.log(2.0))
    # Two members, each certain, of different tokens: the mixture is even.
    assert token_entropy(np.array([[[1.0, 0.0]], [[0.0, 1.0]]])) == pytest.approx(np.log(2.0))


def test_token_entropy_refuses_logits():
    with pytest.raises(ValueError, match="rows summing to 1"):
        token_entropy(np.array([[3.0, 2.0]]))


def test_member_variance_needs_two_members():
    assert member_variance(np.array([[0.0, 1.0], [2.0, 1.0]])).tolist() == [2.0, 0.0]
    with pytest.raises(ValueError, match="K >= 2"):
        member_variance(np.zeros((1, 2)))


def test_chunks_of_length_one_have_no_overlap():
    with pytest.raises(ValueError, match="H >= 2"):
        chunk_disagreement(np.zeros((2, 1, 7)), np.zeros((2, 1, 7)))


def test_the_covariance_is_shrunk_as_ledoit_and_wolf_say():
    # Centred sums give S = diag(10, 4) / 8, trace / 2 = 0.875; the shrinkage is 1.
    samples = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [2, 0], [-2, 0], [0, 1], [0, -1]], float)
    statistics = fit_latent_statistics(samples)
    factor = statistics.precision_cholesky
    assert factor @ factor.T == pytest.approx(np.diag([1 / 0.875, 1 / 0.875]))


def test_distance_of_training_latents_is_about_the_root_of_their_size():
    rng = np.random.default_rng(2)
    mixing = rng.normal(size=(16, 16))
    latents = rng.normal(size=(4000, 16)) @ mixing + 3.0
    statistics = fit_latent_statistics(latents)
    squares = [statistics.distance(h) ** 2 for h in latents[:500]]
    assert np.mean(squares) == pytest.approx(16.0, rel=0.1)
    assert statistics.distance(np.full(16, 3.0)) < 0.3
    far = latents[0] + 50.0 * mixing[0]
    assert statistics.distance(far) > 40.0


def test_fewer_latents_than_dimensions_still_give_finite_distances():
    rng = np.random.default_rng(3)
    statistics = fit_latent_statistics(rng.normal(size=(20, 64)))
    assert np.isfinite(statistics.distance(rng.normal(size=64)))


def test_statistics_survive_their_file(tmp_path):
    statistics = fit_latent_statistics(np.random.default_rng(4).normal(size=(50, 3)))
    path = tmp_path / "latent_statistics.safetensors"
    statistics.save(path)
    again = LatentStatistics.load(path)
    assert np.array_equal(again.mean, statistics.mean)
    assert np.array_equal(again.precision_cholesky, statistics.precision_cholesky)
    assert again.count == 50


@pytest.mark.parametrize("content", [None, b"not safetensors"])
def test_unreadable_statistics_name_the_file(tmp_path, content):
    path = tmp_path / "latent_statistics.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"latent_statistics\.safetensors"):
        LatentStatistics.load(path)


@pytest.mark.parametrize(
    ("latents", "match"),
    [
        (np.ones((10, 3)), "constant"),
        (np.zeros((1, 3)), "N >= 2"),
        (np.full((5, 2), np.nan), "NaN"),
    ],
)
def test_latents_without_information_are_refused(latents, match):
    with pytest.raises(ValueError, match=match):
        fit_latent_statistics(latents)
