# SPDX-License-Identifier: Apache-2.0
"""The embedded ensemble behind the interface of backends, with small untrained members."""

import shutil

import numpy as np
import pytest
import torch

from salus_core.signals import fit_latent_statistics
from salus_policies.backends.base import BackendError, LoadOptions, Observation, PolicyOutputError
from salus_policies.backends.embedded.backend import CAMERA_SIZE, EmbeddedBackend
from salus_policies.backends.embedded.config import EmbeddedConfig
from salus_policies.backends.embedded.ensemble import STATISTICS_FILE, save_ensemble
from salus_policies.backends.embedded.network import EmbeddedNetwork
from salus_policies.policy import MonitoredPolicy
from salus_policies.robot import RobotDescription

CONFIG = EmbeddedConfig(image_size=16, latent_size=8, chunk_length=4, action_temperature=0.0)
MEMBERS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded")
    names = [f"member_{i}" for i in range(MEMBERS)]
    for i, name in enumerate(names):
        torch.manual_seed(i)
        EmbeddedNetwork(CONFIG).save_pretrained(folder / name)
    save_ensemble(names, folder)
    return folder


def observation(step=0, seed=0, **changes):
    rng = np.random.default_rng(seed)
    fields = {
        "images": {
            name: rng.integers(0, 256, (CAMERA_SIZE, CAMERA_SIZE, 3), np.uint8)
            for name in CONFIG.cameras
        },
        "joint_positions": np.array([0.0, -0.3, 0.0, -2.2, 0.0, 1.9, 0.785]),
        "joint_velocities": np.zeros(7),
        "tool_position": np.array([0.5, 0.0, 0.3]),
        "tool_quaternion": np.array([1.0, 0.0, 0.0, 0.0]),
        "gripper_width": 0.08,
        "instruction": "pick up the red cube",
        "step": step,
    }
    return Observation(**{**fields, **changes})


def load(folder):
    return EmbeddedBackend.load(str(folder), LoadOptions())


def test_the_action_is_the_members_mean_in_physical_units(folder):
    backend = load(folder)
    output = backend.act(observation())
    backend.info.check(output)
    assert output.chunks.shape == (MEMBERS, 4, 7)
    assert np.array_equal(output.chunks[:, 0], output.member_means)
    mean, scale = output.member_means.mean(axis=0), np.array(CONFIG.action_scale)
    assert output.action[:6] == pytest.approx(np.clip(mean, -scale, scale)[:6], abs=1e-7)
    assert output.action[6] == float(mean[6] > 0.5)
    assert output.latent.shape == (MEMBERS * 8,)
    assert not np.allclose(output.member_means[0], output.member_means[1])


def test_two_loads_act_alike_to_the_last_bit(folder):
    first, second = load(folder).act(observation()), load(folder).act(observation())
    assert np.array_equal(first.action, second.action)
    assert np.array_equal(first.latent, second.latent)


def test_what_the_cameras_show_and_the_instruction_change_the_action(folder):
    backend = load(folder)
    action = backend.act(observation()).action
    assert not np.allclose(action, backend.act(observation(seed=1)).action)
    other = observation(instruction="place it on the white disc")
    assert not np.allclose(action, backend.act(other).action)


@pytest.mark.parametrize("joints", [6, 9])
def test_an_arm_with_another_number_of_joints_is_refused(folder, joints):
    def arm(count):
        names = tuple(f"joint_{i}" for i in range(count))
        return RobotDescription(names, (-3.0,) * count, (3.0,) * count)

    backend = load(folder)
    backend.bind(arm(7))
    with pytest.raises(BackendError, match=f"7 joints, parameter 'joint_names' has {joints}"):
        backend.bind(arm(joints))


def test_reset_forgets_the_grippers_motion(folder):
    backend = load(folder)
    fresh = backend.act(observation(step=1, gripper_width=0.04)).action
    backend.reset()
    backend.act(observation(step=0, gripper_width=0.08))
    moving = backend.act(observation(step=1, gripper_width=0.04)).action
    backend.reset()
    again = backend.act(observation(step=1, gripper_width=0.04)).action
    assert np.array_equal(fresh, again)
    assert not np.array_equal(fresh, moving)


def test_a_lost_step_does_not_speed_the_gripper_up(folder):
    backend = load(folder)
    backend.act(observation(step=0, gripper_width=0.08))
    one_step = backend.act(observation(step=1, gripper_width=0.07)).action
    backend.reset()
    backend.act(observation(step=0, gripper_width=0.09))
    two_steps = backend.act(observation(step=2, gripper_width=0.07)).action
    assert two_steps == pytest.approx(one_step, abs=1e-6)


def test_an_instruction_without_a_known_word_gives_no_action(folder):
    with pytest.raises(PolicyOutputError, match="xyzzy"):
        load(folder).act(observation(instruction="xyzzy"))


def test_statistics_beside_the_members_give_the_distance(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    backend = load(copy)
    latents = [backend.act(observation(seed=i)).latent for i in range(20)]
    fit_latent_statistics(np.stack(latents)).save(copy / STATISTICS_FILE)
    policy = MonitoredPolicy(load(copy), 10, [-4.0] * 7, [4.0] * 7)
    _, signals = policy.process(1, observation(), lambda *_: None)
    assert signals.valid.tolist() == [0, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0]
    assert policy.info.weights_hash == backend.info.weights_hash

    fit_latent_statistics(np.stack(latents)[:, :5]).save(copy / STATISTICS_FILE)
    with pytest.raises(BackendError, match="for 5 elements, its latent has 24"):
        load(copy)


def test_a_folder_without_an_ensemble_is_named_with_what_to_do(tmp_path):
    with pytest.raises(BackendError, match=r"nowhere"):
        load(tmp_path / "nowhere")


def test_a_damaged_member_is_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "member_1" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BackendError, match=r"member_1.*model\.safetensors"):
        load(copy)


def test_the_hash_is_of_the_listed_members_only(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    shutil.copytree(folder / "member_0", copy / "old_member")
    assert load(copy).info.weights_hash == load(folder).info.weights_hash
    save_ensemble(["member_0", "member_1", "old_member"], copy)
    assert load(copy).info.weights_hash != load(folder).info.weights_hash


def test_members_may_lie_elsewhere(folder, tmp_path):
    save_ensemble([str((folder / "member_1").resolve())], tmp_path)
    backend = load(tmp_path)
    assert backend.info.members == 1
    assert len(backend.info.weights_hash) == 64


def test_a_missing_member_of_a_relative_folder_is_no_hub_id(folder, tmp_path, monkeypatch):
    copy = shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(copy / "member_1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackendError, match=r"no folder .*/copy/member_1"):
        load("copy")


@pytest.mark.parametrize("members", [[], "member_0", [3]])
def test_a_list_that_is_none_is_refused(folder, tmp_path, members):
    copy = shutil.copytree(folder, tmp_path / "copy")
    save_ensemble(members, copy)
    with pytest.raises(BackendError, match='and a list "members"'):
        load(copy)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused_not_replaced(folder):
    with pytest.raises(BackendError, match="torch sees no GPU"):
        EmbeddedBackend.load(str(folder), LoadOptions(device="cuda"))
