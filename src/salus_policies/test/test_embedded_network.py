# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
import torch

from salus_policies.backends.base import sampling_key
from salus_policies.backends.embedded.config import EmbeddedConfig
from salus_policies.backends.embedded.ensemble import (
    EmbeddedEnsemble,
)
from salus_policies.backends.embedded.inputs import (
    executable_action,
    proprioception_vector,
    resize_area,
    tokenize,
)
from salus_policies.backends.embedded.network import EmbeddedNetwork
from salus_policies.backends.embedded.pretrained import CheckpointError

CONFIG = EmbeddedConfig()
SAMPLING = dataclasses.replace(CONFIG, action_temperature=0.5)


def member(seed):
    torch.manual_seed(seed)
    return EmbeddedNetwork(CONFIG)


@pytest.fixture
def observation():
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 255, (256, 256, 3), np.uint8) for name in CONFIG.cameras}
    proprioception = rng.standard_normal(len(CONFIG.proprioception)).astype(np.float32)
    return images, proprioception, tokenize("pick up the red cube", CONFIG)


def ensemble(*networks):
    return EmbeddedEnsemble(
        EmbeddedEnsemble.stack(list(networks)), torch.device("cpu"), torch.float32
    )


def test_a_stack_says_what_its_members_say_alone(observation):
    together = ensemble(member(1), member(2), member(3)).act(*observation)
    for i, seed in enumerate((1, 2, 3)):
        alone = ensemble(member(seed)).act(*observation)
        for stacked, single in zip(together, alone, strict=True):
            assert stacked[i] == pytest.approx(single[0], abs=1e-5)


def test_the_instruction_changes_the_action(observation):
    images, proprioception, red = observation
    policy = ensemble(member(1))
    blue = tokenize("pick up the blue cube", CONFIG)
    first, second = (policy.act(images, proprioception, t).means for t in (red, blue))
    assert np.abs(first - second).max() > 1e-4


def test_the_order_of_words_changes_the_action(observation):
    images, proprioception, _ = observation
    policy = ensemble(member(1))
    first, second = (
        policy.act(images, proprioception, tokenize(sentence, CONFIG)).means
        for sentence in ("stack the red cube on the blue", "stack the blue cube on the red")
    )
    assert np.abs(first - second).max() > 1e-4


@pytest.mark.parametrize("cameras", [("wrist",), ("side", "front"), ("front", "wrist", "side")])
def test_any_of_the_cameras_will_do(cameras):
    config = EmbeddedConfig(cameras=cameras)
    policy = ensemble(EmbeddedNetwork(config), EmbeddedNetwork(config))
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 255, (256, 256, 3), np.uint8) for name in CONFIG.cameras}
    images["side"] = images["front"][::-1]
    output = policy.act(images, np.zeros(16, np.float32), tokenize("push the red cube", config))
    assert output.means.shape == (2, config.chunk_length, 7)


def test_every_camera_changes_the_action(observation):
    images, proprioception, tokens = observation
    policy = ensemble(member(1))
    both = policy.act(images, proprioception, tokens).means
    for name in CONFIG.cameras:
        without = policy.act({name: images[name]}, proprioception, tokens).means
        assert np.abs(both - without).max() > 1e-4


def test_without_any_camera_it_refuses(observation):
    _, proprioception, tokens = observation
    with pytest.raises(ValueError, match="none of the cameras front, wrist"):
        ensemble(member(1)).act({}, proprioception, tokens)


def test_a_member_survives_its_folder(tmp_path, observation):
    member(4).save_pretrained(tmp_path / "m")
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    again = ensemble(EmbeddedNetwork.from_pretrained(tmp_path / "m")).act(*observation)
    assert np.array_equal(again.means, ensemble(member(4)).act(*observation).means)


def test_a_network_that_acts_meanwhile_can_still_be_trained_as_a_whole(observation):
    network = member(1)
    policy = EmbeddedEnsemble(network, torch.device("cpu"), torch.float32)
    before = policy.act(*observation).means
    images = torch.rand(2, len(CONFIG.cameras), 3, CONFIG.image_size, CONFIG.image_size)
    optimiser = torch.optim.SGD(network.train().parameters(), lr=0.1)
    output = network(
        images,
        torch.ones(2, 2),
        torch.zeros(2, 16),
        torch.from_numpy(observation[2])[None].repeat(2, 1),
    )
    sum(value.pow(2).mean() for value in output).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    optimiser.step()
    assert np.array_equal(policy.act(*observation).means, before)
    assert not np.array_equal(ensemble(network).act(*observation).means, before)


def test_weights_of_another_shape_are_refused_by_name(tmp_path):
    member(4).save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('"latent_size": 128', '"latent_size": 64'))
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        EmbeddedNetwork.from_pretrained(tmp_path)


def test_area_averaging_is_the_mean_of_each_block():
    image = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    expected = image.reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert np.abs(resize_area(image, 64) - expected).max() <= 0.5


def test_an_image_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match="320x240"):
        resize_area(np.zeros((240, 320, 3), np.uint8), 64)


def test_unknown_words_are_allowed_but_not_alone():
    known = tokenize("kindly pick the Red cube!", CONFIG)
    assert CONFIG.vocabulary[known[3]] == "red"
    assert known[0] == 0
    with pytest.raises(ValueError, match="no word"):
        tokenize("saute onions", CONFIG)


def test_a_quaternion_and_its_negative_are_the_same_pose():
    quaternion = np.array([0.9, 0.1, -0.3, 0.2])
    one, other = (
        proprioception_vector(np.zeros(3), q, 0.08, 0.08, np.zeros(7))
        for q in (quaternion, -quaternion)
    )
    assert np.array_equal(one, other)


def test_an_action_is_limited_and_its_gripper_decided():
    means = np.array([[3.0, -3.0, 0.5, 0.0, 0.0, 0.0, 0.6]], np.float32)
    action = executable_action(means, np.zeros((1, 7), np.float32), 0, 0, CONFIG)
    assert action.tolist() == pytest.approx([0.014, -0.014, 0.007, 0, 0, 0, 1.0])


def test_the_sampled_actions_of_two_episodes_do_not_share_a_clock():
    means, stds = np.zeros((2, 7), np.float32), np.full((2, 7), 0.5, np.float32)
    image = np.zeros((4, 4, 3), np.uint8)
    keys = [sampling_key({"front": image + i}, np.zeros(16, np.float32)) for i in range(2)]
    assert keys[0] == sampling_key({"front": image}, np.zeros(16, np.float32))
    first, second = (
        np.array([executable_action(means, stds, key, step, SAMPLING)[:3] for step in range(300)])
        for key in keys
    )
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.15


def test_an_unsure_policy_samples_and_a_sure_one_does_not():
    means = np.array([[0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.6]] * 2, np.float32)
    stds = np.full((2, 7), 0.5, np.float32)
    stds[:, 0] = 1e-4
    actions = np.array([executable_action(means, stds, 3, step, SAMPLING) for step in range(400)])
    again = executable_action(means, stds, 3, 7, SAMPLING)
    assert np.array_equal(again, actions[7])
    assert actions[:, 0].std() < 1e-6
    assert actions[:, 1].std() / 0.014 == pytest.approx(0.25, abs=0.03)
    assert actions[:, 6].mean() == pytest.approx(0.655, abs=0.08)  # P(0.6 + 0.25 z > 0.5)
