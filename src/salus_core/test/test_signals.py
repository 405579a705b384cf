# SPDX-License-Identifier: Apache-2.0
"""The twelve signals, against numbers computed by hand."""

import numpy as np
import pytest

from salus_core.signals import (
    SIGNAL_NAMES,
    LatentStatistics,
    Signal,
    SignalComputer,
    StepInput,
    available_signals,
    pack_validity,
    schema_hash,
    unpack_validity,
)

SCALE = np.array([0.01, 0.01, 0.01, 0.1, 0.1, 0.1, 1.0])


def action(x: float, gripper: float = 0.0) -> np.ndarray:
    """An action of x normalised units along the first axis, in physical units."""
    return np.array([x * 0.01, 0, 0, 0, 0, 0, gripper])


def run(computer: SignalComputer, inputs: list[StepInput]):
    return [computer.update(step) for step in inputs]


def valid_names(result) -> set[str]:
    return {SIGNAL_NAMES[i] for i in np.flatnonzero(result.valid)}


def test_first_step_has_only_what_needs_no_history():
    result = SignalComputer(SCALE).update(StepInput(step=0, action=action(3.0, gripper=4.0)))
    assert valid_names(result) == {"action_magnitude"}
    assert result.values[Signal.ACTION_MAGNITUDE] == pytest.approx(5.0)


def test_differences_of_actions_become_valid_as_their_history_grows():
    results = run(
        SignalComputer(SCALE),
        [StepInput(step=i, action=action(x)) for i, x in enumerate([0.0, 3.0, 4.0])],
    )
    assert results[1].values[Signal.ACTION_VOLATILITY] == pytest.approx(3.0)
    assert not results[1].valid[Signal.ACTION_ACCELERATION]
    assert results[2].values[Signal.ACTION_VOLATILITY] == pytest.approx(1.0)
    # 4 - 2 * 3 + 0
    assert results[2].values[Signal.ACTION_ACCELERATION] == pytest.approx(2.0)


def test_divergence_compares_with_the_mean_of_a_full_window_only():
    xs = [1.0, 2.0, 6.0, 10.0]
    results = run(
        SignalComputer(SCALE, window=3),
        [StepInput(step=i, action=action(x)) for i, x in enumerate(xs)],
    )
    assert [bool(r.valid[Signal.TRAJECTORY_DIVERGENCE]) for r in results] == [0, 0, 0, 1]
    assert results[3].values[Signal.TRAJECTORY_DIVERGENCE] == pytest.approx(7.0)


def test_latent_drift_and_spike():
    latents = [[3.0, 4.0], [3.0, 4.0], [6.0, 8.0], [0.0, 10.0]]
    results = run(
        SignalComputer(SCALE, window=3),  # weight of the exponential mean: 1/2
        [StepInput(i, action(0.0), latent=np.array(h)) for i, h in enumerate(latents)],
    )
    assert not results[0].valid[Signal.LATENT_DRIFT]
    assert not results[0].valid[Signal.LATENT_NORM_SPIKE]
    assert results[1].values[Signal.LATENT_DRIFT] == 0.0
    assert results[1].valid[Signal.LATENT_DRIFT]
    assert results[2].values[Signal.LATENT_DRIFT] == pytest.approx(5.0)
    # Norms 5, 5, 10, 10; means before the steps: -, 5, 5, 7.5.
    spikes = [r.values[Signal.LATENT_NORM_SPIKE] for r in results[1:]]
    assert spikes == pytest.approx([1.0, 2.0, 10.0 / 7.5])


def test_spike_over_a_mean_of_zero_is_invalid_not_infinite():
    results = run(
        SignalComputer(SCALE),
        [StepInput(i, action(0.0), latent=np.full(2, float(i))) for i in range(2)],
    )
    assert not results[1].valid[Signal.LATENT_NORM_SPIKE]
    assert np.all(np.isfinite(results[1].values))


def test_ood_distance_needs_statistics():
    # P = L L^T = [[4, 0], [0, 9]]: distance of (1, 1) from 0 is sqrt(13).
    statistics = LatentStatistics(np.zeros(2), np.diag([2.0, 3.0]), 10)
    step = StepInput(0, action(0.0), latent=np.ones(2))
    with_them = SignalComputer(SCALE, latent_statistics=statistics).update(step)
    assert with_them.values[Signal.OOD_DISTANCE] == pytest.approx(np.sqrt(13.0))
    assert not SignalComputer(SCALE).update(step).valid[Signal.OOD_DISTANCE]


def test_epistemic_uncertainty_is_the_members_variance_in_normalised_units():
    means = np.stack([action(1.0), action(3.0)])  # unbiased variance 2 in one dimension of seven
    step = StepInput(0, action(2.0), member_means=means)
    result = SignalComputer(SCALE).update(step)
    assert result.values[Signal.EPISTEMIC_UNCERTAINTY] == pytest.approx(2.0 / 7.0)


@pytest.mark.parametrize(("members", "kind"), [(1, "single"), (1, "checkpoints"), (4, "samples")])
def test_one_checkpoint_has_no_epistemic_uncertainty(members, kind):
    means = np.stack([action(float(i)) for i in range(members)])
    result = SignalComputer(SCALE, member_kind=kind).update(
        StepInput(0, action(0.0), member_means=means)
    )
    assert not result.valid[Signal.EPISTEMIC_UNCERTAINTY]
    assert result.values[Signal.EPISTEMIC_UNCERTAINTY] == 0.0


def test_entropy_of_one_gaussian_member_in_normalised_units():
    step = StepInput(0, action(0.0), member_means=action(0.0)[None], member_stds=SCALE[None])
    result = SignalComputer(SCALE, member_kind="single").update(step)
    expected = 7 * 0.5 * np.log(2 * np.pi * np.e)
    assert result.values[Signal.PREDICTIVE_ENTROPY] == pytest.approx(expected, rel=1e-6)


def test_entropy_of_tokens_takes_precedence_over_gaussians():
    step = StepInput(
        0,
        action(0.0),
        member_means=action(0.0)[None],
        member_stds=SCALE[None],
        token_probabilities=np.full((7, 4), 0.25),
    )
    result = SignalComputer(SCALE, member_kind="single").update(step)
    assert result.values[Signal.PREDICTIVE_ENTROPY] == pytest.approx(7 * np.log(4.0))


def test_execution_mismatch_compares_command_and_achieved_motion():
    results = run(
        SignalComputer(SCALE),
        [
            StepInput(0, action(0.0), tool_position=np.array([0.5, 0.0, 0.3])),
            StepInput(
                1,
                action(0.0),
                tool_position=np.array([0.51, 0.0, 0.3]),
                commanded_translation=np.array([0.01, 0.0, -0.01]),
            ),
            StepInput(2, action(0.0), tool_position=np.array([0.51, 0.0, 0.3])),
        ],
    )
    assert not results[0].valid[Signal.EXECUTION_MISMATCH]
    assert results[1].values[Signal.EXECUTION_MISMATCH] == pytest.approx(0.01, rel=1e-5)
    assert not results[2].valid[Signal.EXECUTION_MISMATCH]  # no command is known


@pytest.mark.parametrize(
    ("joints", "margin"), [([0.0, 0.0], 1.0), ([0.7, -1.5], 0.3), ([1.2, 0.0], -0.2)]
)
def test_constraint_margin_is_the_nearest_limit(joints, margin):
    computer = SignalComputer(SCALE, joint_lower=[-1.0, -2.0], joint_upper=[1.0, 2.0])
    result = computer.update(StepInput(0, action(0.0), joint_positions=np.array(joints)))
    assert result.values[Signal.CONSTRAINT_MARGIN] == pytest.approx(margin, rel=1e-5)


def test_consistency_compares_what_two_chunks_say_about_the_same_steps():
    first = np.stack([[action(0.0), action(1.0), action(2.0)]] * 2)
    second = np.stack(
        [[action(1.0), action(2.0), action(9.0)], [action(4.0), action(2.0)] * 1 + [action(0.0)]]
    )
    results = run(
        SignalComputer(SCALE),
        [StepInput(0, action(0.0), chunks=first), StepInput(1, action(1.0), chunks=second)],
    )
    assert not results[0].valid[Signal.TEMPORAL_CONSISTENCY]
    # Distances: member 0: 0, 0; member 1: 3, 0.
    assert results[1].values[Signal.TEMPORAL_CONSISTENCY] == pytest.approx(0.75)


def test_consistency_without_chunks_is_the_deviation_of_the_volatility():
    xs = [0.0, 1.0, 4.0, 4.0]  # volatilities 1, 3, 0
    results = run(
        SignalComputer(SCALE, window=2), [StepInput(i, action(x)) for i, x in enumerate(xs)]
    )
    assert [bool(r.valid[Signal.TEMPORAL_CONSISTENCY]) for r in results] == [0, 0, 1, 1]
    assert results[2].values[Signal.TEMPORAL_CONSISTENCY] == pytest.approx(1.0)
    assert results[3].values[Signal.TEMPORAL_CONSISTENCY] == pytest.approx(1.5)


def test_a_lost_step_invalidates_differences_instead_of_spanning_the_gap():
    def step(i):
        return StepInput(
            i,
            action(float(i)),
            latent=np.ones(2),
            chunks=np.zeros((1, 3, 7)),
            tool_position=np.zeros(3),
            commanded_translation=np.zeros(3),
        )

    results = run(SignalComputer(SCALE), [step(0), step(1), step(3), step(4)])
    assert valid_names(results[2]) == {"action_magnitude"}
    assert results[3].values[Signal.ACTION_VOLATILITY] == pytest.approx(1.0)


def test_reset_gives_the_same_values_again():
    rng = np.random.default_rng(0)
    inputs = [
        StepInput(
            i, rng.normal(size=7), latent=rng.normal(size=5), chunks=rng.normal(size=(2, 4, 7))
        )
        for i in range(15)
    ]
    computer = SignalComputer(SCALE)
    first = run(computer, inputs)
    computer.reset()
    second = run(computer, inputs)
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.values, b.values)
        assert np.array_equal(a.valid, b.valid)


def test_a_step_that_goes_back_without_reset_is_an_error():
    computer = SignalComputer(SCALE)
    computer.update(StepInput(5, action(0.0)))
    with pytest.raises(ValueError, match=r"step 5 after step 5.*reset"):
        computer.update(StepInput(5, action(0.0)))


def test_an_action_that_is_not_finite_is_an_error():
    with pytest.raises(ValueError, match="action of step 0 is not finite"):
        SignalComputer(SCALE).update(StepInput(0, action(np.nan)))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"action_scale": [0.0] * 7}, "action_scale must be positive"),
        ({"window": 1}, "window must be at least 2"),
        ({"member_kind": "dropout"}, "member_kind must be one of"),
        ({"joint_lower": [0.0]}, "given together"),
    ],
)
def test_bad_settings_are_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        SignalComputer(**{"action_scale": SCALE, **arguments})


def test_available_signals_follow_from_what_the_policy_has():
    everything = available_signals(
        members=5,
        member_kind="checkpoints",
        has_distribution=True,
        has_latent=True,
        has_latent_statistics=True,
        has_joint_limits=True,
    )
    assert everything.all()
    little = available_signals(
        members=1,
        member_kind="single",
        has_distribution=False,
        has_latent=False,
        has_latent_statistics=False,
        has_joint_limits=False,
    )
    missing = {SIGNAL_NAMES[i] for i in np.flatnonzero(~little)}
    assert missing == {
        "latent_drift",
        "latent_norm_spike",
        "ood_distance",
        "predictive_entropy",
        "epistemic_uncertainty",
        "constraint_margin",
    }


def test_validity_bits_round_trip():
    valid = np.zeros(12, bool)
    valid[[0, 3, 11]] = True
    assert pack_validity(valid) == 1 + 8 + 2048
    assert np.array_equal(unpack_validity(1 + 8 + 2048), valid)


def test_schema_hash_changes_with_what_makes_signals_incomparable():
    base = {
        "window": 10,
        "embedding_size": 8,
        "chunk_shape": (2, 4, 7),
        "members": 2,
        "member_kind": "checkpoints",
        "action_names": tuple("abcdefg"),
        "action_units": ("m",) * 7,
        "action_scale": (0.1,) * 7,
    }
    assert schema_hash(**base) == schema_hash(**base)
    for key, other in [("window", 5), ("embedding_size", 9), ("action_scale", (0.2,) * 7)]:
        assert schema_hash(**{**base, key: other}) != schema_hash(**base)
