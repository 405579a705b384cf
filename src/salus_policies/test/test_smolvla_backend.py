# SPDX-License-Identifier: Apache-2.0
"""SmolVLA through LeRobot's own code, at a size that a CPU runs: random weights, real library."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

pytest.importorskip("lerobot", reason="needs lerobot: tools/env/requirements-vla.txt")
torch = pytest.importorskip("torch")

import tiny_smolvla  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from test_action_space import JOINTS, ROBOT, observation  # noqa: E402

from salus_core.signals import SIGNAL_NAMES, fit_latent_statistics  # noqa: E402
from salus_policies.backends.base import BackendError, LoadOptions  # noqa: E402
from salus_policies.backends.registry import backend_class  # noqa: E402
from salus_policies.backends.smolvla.sampler import denoise, encode  # noqa: E402
from salus_policies.policy import MonitoredPolicy  # noqa: E402

INERT = {"observation.state": {"mean": torch.zeros(7), "std": torch.ones(7)}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_smolvla.save(tmp_path_factory.mktemp("policies") / "tiny")


@pytest.fixture
def copy(folder, tmp_path):
    def make(name="copy", **config):
        shutil.copytree(folder, tmp_path / name)
        if config:
            tiny_smolvla.write_config(tmp_path / name, **config)
        return tmp_path / name

    return make


def load(path, robot=ROBOT, **options):
    backend = backend_class("smolvla").load(str(path), LoadOptions(**options))
    backend.bind(robot)
    backend.reset()
    return backend


def seen(step=0, level=100, **changes):
    images = {
        name: np.random.default_rng(i).integers(0, level + 1, (256, 256, 3)).astype(np.uint8)
        for i, name in enumerate(("front", "wrist"))
    }
    return observation(images=images, step=step, **changes)


@pytest.fixture(scope="module")
def backend(folder):
    return load(folder)


def test_five_samples_of_one_checkpoint_differ_and_say_what_they_are(backend):
    info = backend.info
    assert (info.members, info.member_kind, info.has_distribution) == (5, "samples", True)
    output = backend.act(seen())
    info.check(output)
    assert output.chunks.shape == (5, tiny_smolvla.CHUNK, 7)
    assert (output.member_means.std(axis=0)[:6] > 0).all()
    np.testing.assert_allclose(output.action[:6], output.member_means.mean(axis=0)[:6])
    assert output.action[6] in (0.0, 1.0)


def test_results_repeat_under_a_seed_and_differ_under_another(folder, backend, copy):
    first = load(folder).act(seen(3))
    again = load(folder).act(seen(3))
    np.testing.assert_array_equal(first.chunks, again.chunks)
    np.testing.assert_array_equal(first.latent, again.latent)
    other = load(copy(smolvla={"vlm": "vlm", "seed": 1})).act(seen(3))
    assert (first.chunks != other.chunks).any()
    np.testing.assert_array_equal(first.latent, other.latent)


def test_an_episode_is_the_same_whatever_was_played_before_it(folder):
    def play(backend, level):
        backend.reset()
        return [backend.act(seen(step, level=level + step)).chunks for step in range(2)]

    used = load(folder)
    first = play(used, 50)
    other = play(used, 120)
    np.testing.assert_array_equal(play(load(folder), 120), other)
    noise = used.noise(0)
    play(used, 50)
    assert (used.noise(0) != noise).any()
    np.testing.assert_array_equal(play(used, 50), first)


def test_samples_from_one_prefix_equal_separate_calls_of_the_library(backend):
    (batch,) = backend.batches(seen())
    policy, noise = backend.members[0].policy, backend.noise(0)
    with torch.inference_mode():
        ours = denoise(policy, encode(policy, batch), noise)
        theirs = [policy.predict_action_chunk(dict(batch), noise=one[None]) for one in noise]
    np.testing.assert_allclose(ours, torch.cat(theirs), atol=1e-5)


def test_the_policy_looks_listens_and_feels(backend):
    base = seen()
    latent = backend.act(base).latent
    others = (
        seen(level=200),
        dataclasses.replace(base, instruction="stack the cubes"),
        dataclasses.replace(base, tool_position=np.array([0.1, 0.4, 0.1])),
    )
    for other in others:
        assert np.abs(backend.act(other).latent - latent).max() > 1e-4


@pytest.mark.parametrize("members", [False, True])
def test_every_signal_that_it_can_give_is_finite_and_valid(folder, copy, tmp_path, members):
    path = folder
    if members:
        path = tmp_path / "ensemble"
        path.mkdir()
        names = [str(folder), str(tiny_smolvla.save(tmp_path / "b", seed=2))]
        tiny_smolvla.write_config(path, smolvla={"members": names, "vlm": str(folder / "vlm")})
    policy = MonitoredPolicy.load(
        "smolvla", str(path), LoadOptions(), 10, ROBOT.joint_lower, ROBOT.joint_upper, ROBOT
    )
    for step in range(13):
        _, signals = policy.process(0, seen(step, level=100 + step), lambda *_: np.zeros(7))
        assert np.isfinite(signals.values).all()
    missing = {n for n, valid in zip(SIGNAL_NAMES, signals.valid, strict=True) if not valid}
    # Samples know nothing of what the model does not know, members have no density of their own.
    lacking = "predictive_entropy" if members else "epistemic_uncertainty"
    assert missing == {lacking, "ood_distance"}


def test_members_that_see_alike_share_one_prefix_and_others_do_not(folder, tmp_path):
    paths = [folder, tiny_smolvla.save(tmp_path / "expert", seed=2)]
    paths.append(tiny_smolvla.save(tmp_path / "eyes", seed=3))
    weights = load_file(paths[2] / "model.safetensors")
    weights["model.state_proj.weight"] *= 1.5
    save_file(weights, paths[2] / "model.safetensors", metadata={"format": "pt"})
    for chosen, shares in ((paths[:2], True), (paths, False)):
        ensemble = tmp_path / f"{len(chosen)}"
        ensemble.mkdir()
        tiny_smolvla.write_config(
            ensemble,
            smolvla={"members": [str(p) for p in chosen], "vlm": str(folder / "vlm")},
        )
        backend = load(ensemble)
        assert backend.shares_prefix is shares
        assert backend.info.member_kind == "checkpoints"
        output = backend.act(seen())
        noise = backend.noise(0)
        for member, batch, mean in zip(
            backend.members, backend.batches(seen()), output.member_means, strict=True
        ):
            alone = member.postprocess(member.policy.predict_action_chunk(batch, noise=noise))
            np.testing.assert_allclose(alone[0, 0, :6], mean[:6], atol=1e-5)


def test_latents_of_the_expert_and_their_statistics_are_used(copy):
    path = copy(smolvla={"vlm": "vlm", "latent": "expert", "samples": 2, "chunk_length": 4})
    backend = load(path)
    assert backend.info.embedding_size == 48
    assert backend.info.chunk_shape == (2, 4, 7)
    latents = [backend.act(seen(i, level=50 + 10 * i)).latent for i in range(6)]
    fit_latent_statistics(np.array(latents)).save(path / "latent_statistics.safetensors")
    assert load(path).info.latent_statistics.count == 6


def test_joint_angles_become_tool_motions(tmp_path):
    config = {"action": {**JOINTS, "padding": 0}}
    statistics = {
        **INERT,
        "action": {"mean": torch.tensor([0.0, -0.3, 0, -2.2, 0, 1.9, 0.8, 0.04])},
    }
    statistics["action"]["std"] = torch.full((8,), 0.01)
    path = tiny_smolvla.save(tmp_path / "a", action=8, statistics=statistics, config=config)
    output = load(path).act(seen())
    assert np.abs(output.action[:6]).max() < 0.2
    degrees = {**config["action"], "joint_unit": "deg"}
    statistics["action"]["mean"] = torch.tensor([0.0, -20.0, 0, -120.0, 0, 90.0, 45.0, 0.04])
    wrong = tiny_smolvla.save(tmp_path / "b", action=8, statistics=statistics, config=config)
    with pytest.raises(BackendError, match="joint_unit 'rad' cannot be right"):
        load(wrong)
    tiny_smolvla.write_config(wrong, action=degrees)
    load(wrong)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"action": {**tiny_smolvla.ACTION, "padding": 1}}, "of 7 numbers, but.* declares 8"),
        ({"state": {"parts": ["tool_position"]}}, "a state of 7 numbers, but.*3 together"),
        ({"state": None}, "'state' is missing: checkpoint .* takes one of 7 numbers"),
        (
            {
                "cameras": {
                    "observation.images.front": {"camera": "front", "size": [256, 256]},
                }
            },
            "image inputs observation.images.front, observation.images.wrist, but",
        ),
        ({"smolvla": {"vlm": "vlm", "sample": 3}}, "smolvla: unknown entries sample"),
        ({"smolvla": {"vlm": "vlm", "members": ["."]}}, "one member is no ensemble"),
        ({"smolvla": {"vlm": "gone"}}, "no folder .*gone"),
        ({"smolvla": {"vlm": "vlm", "samples": 400}}, "> 8192"),
    ],
)
def test_what_does_not_fit_is_refused(copy, config, match):
    with pytest.raises(BackendError, match=match):
        load(copy(**config))


@pytest.mark.parametrize(
    ("file", "match"),
    [
        ("model.safetensors", "has no model.safetensors"),
        ("policy_preprocessor.json", "has no policy_preprocessor.json.*LeRobot 0.4"),
        ("policy_postprocessor.json", "has no policy_postprocessor.json.*LeRobot 0.4"),
        ("salus_policy.yaml", "does not say what its actions mean"),
    ],
)
def test_an_incomplete_checkpoint_is_refused(copy, file, match):
    path = copy()
    (path / file).unlink()
    with pytest.raises(BackendError, match=match):
        load(path)


@pytest.mark.parametrize("name", ["policy_preprocessor.json", "policy_postprocessor.json"])
def test_a_step_that_would_import_a_class_of_its_own_is_refused(copy, tmp_path, monkeypatch, name):
    (tmp_path / "foreign_step.py").write_text(
        "from pathlib import Path\n"
        "from lerobot.processor import IdentityProcessorStep\n"
        "Path(__file__).with_name('was_run').touch()\n"
        "class Step(IdentityProcessorStep): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = copy()
    pipeline = json.loads((path / name).read_text())
    pipeline["steps"].insert(1, {"class": "foreign_step.Step", "config": {}})
    (path / name).write_text(json.dumps(pipeline))
    with pytest.raises(BackendError, match=rf"{name}: step 1 has no 'registry_name'.*foreign_step"):
        load(path)
    assert not (tmp_path / "was_run").exists()
    (path / name).write_text('{"steps": 3}')
    with pytest.raises(BackendError, match=rf"{name} is no processor of LeRobot"):
        load(path)


def test_weights_with_a_missing_tensor_are_refused_and_not_left_random(copy):
    path = copy()
    weights = load_file(path / "model.safetensors")
    weights.pop("model.action_out_proj.weight")
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackendError, match=r"action_out_proj\.weight"):
        load(path)


def test_normalisation_that_would_do_nothing_is_refused(tmp_path):
    path = tiny_smolvla.save(tmp_path / "a", statistics=INERT)
    with pytest.raises(BackendError, match="statistic 'mean' of 'action' is missing"):
        load(path)


def test_a_hub_id_without_a_network_says_how_to_download_it(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BackendError, match="hf download somebody/policy --local-dir"):
        load("somebody/policy")
