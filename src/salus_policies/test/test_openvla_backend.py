# SPDX-License-Identifier: Apache-2.0
"""Actions as tokens through transformers' own code, at a size that a CPU runs."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs transformers: tools/env/requirements-vla.txt")
torch = pytest.importorskip("torch")

import tiny_openvla  # noqa: E402
import yaml  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from test_action_space import ROBOT, observation  # noqa: E402

from salus_core.signals import SIGNAL_NAMES, token_entropy  # noqa: E402
from salus_policies.backends.base import BackendError, LoadOptions  # noqa: E402
from salus_policies.backends.openvla.tokens import ActionTokens  # noqa: E402
from salus_policies.backends.registry import backend_class  # noqa: E402
from salus_policies.policy import MonitoredPolicy  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_openvla.save(tmp_path_factory.mktemp("policies") / "tiny")


def load(path, config=""):
    backend = backend_class("openvla").load(str(path), LoadOptions(config=str(config)))
    backend.bind(ROBOT)
    backend.reset()
    return backend


def seen(step=0, level=100, **changes):
    image = np.random.default_rng(0).integers(0, level + 1, (256, 256, 3)).astype(np.uint8)
    return observation(images={"front": image}, step=step, **changes)


@pytest.fixture(scope="module")
def backend(folder):
    return load(folder)


def test_probabilities_are_those_of_the_model_token_by_token(backend):
    output = backend.act(seen())
    backend.info.check(output)
    probabilities = output.token_probabilities
    assert probabilities.shape == (7, tiny_openvla.BINS + 1)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert 0 < token_entropy(probabilities) < 7 * np.log(tiny_openvla.BINS + 1)
    assert (probabilities[:, -1] > 0).all()  # something is left for words that are no action
    # The same by one forward pass over prompt and tokens, without the generation loop.
    tokens, again, _ = backend._decode(seen().images["front"], "pick it")
    np.testing.assert_allclose(again, probabilities)
    from PIL import Image

    text = backend._prompting.prompt.format(instruction="pick it")
    inputs = backend._processor(
        text=text, images=Image.fromarray(seen().images["front"]), return_tensors="pt"
    )
    ids = torch.cat([inputs["input_ids"], torch.tensor(tokens)[None]], dim=1)
    with torch.inference_mode():
        logits = backend._model(input_ids=ids, pixel_values=inputs["pixel_values"]).logits
    direct = backend._tokens.probabilities(logits[0, -8:-1].numpy())
    np.testing.assert_allclose(direct, probabilities, atol=1e-4)
    assert (direct[:, :-1].argmax(axis=1) + backend._tokens.first == tokens).all()


def test_bins_are_those_of_the_paper():
    tokens = ActionTokens(
        32000, 256, np.array([-2.0, 0.0]), np.array([2.0, 1.0]), np.array([True, False]), None
    )
    edge = 1 - 1 / 255
    np.testing.assert_allclose(tokens.values([31999, 31999]), [-2 * edge, -edge])
    np.testing.assert_allclose(tokens.values([31745, 31745]), [2 * edge, edge])
    np.testing.assert_allclose(tokens.values([31872, 31872]), [0.0, 0.0], atol=1e-12)
    assert (tokens.values([31744, 31744]) == tokens.values([31745, 31745])).all()


def test_the_policy_repeats_itself_and_looks_and_listens(backend):
    first = backend.act(seen())
    np.testing.assert_array_equal(first.latent, backend.act(seen()).latent)
    for other in (seen(level=250), seen(instruction="open the drawer")):
        assert np.abs(backend.act(other).token_probabilities - first.token_probabilities).max() > 0


def test_every_signal_that_it_can_give_is_finite_and_valid(folder):
    policy = MonitoredPolicy.load(
        "openvla", str(folder), LoadOptions(), 5, ROBOT.joint_lower, ROBOT.joint_upper, ROBOT
    )
    for step in range(8):
        _, signals = policy.process(0, seen(step, level=100 + step), lambda *_: np.zeros(7))
        assert np.isfinite(signals.values).all()
    missing = {n for n, valid in zip(SIGNAL_NAMES, signals.valid, strict=True) if not valid}
    assert missing == {"epistemic_uncertainty", "ood_distance"}  # one member disagrees with nobody


def test_a_model_that_ignores_its_camera_is_found_out(tmp_path):
    with pytest.raises(BackendError, match=r"black and a white image.*transformers 4\.40\.1"):
        load(tiny_openvla.save(tmp_path / "blind", blind=True))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"openvla": {"unnorm_key": "bridge"}}, "of the data sets cell: name one in openvla: unno"),
        ({"openvla": {"prompt": "go"}}, r"'prompt' has no \{instruction\}"),
        ({"state": {"parts": ["tool_position"]}}, "takes one camera and no state"),
        (
            {"action": {**tiny_openvla.CONFIG["action"], "gripper": {"fixed": 1.0}}},
            r"actions of 7 numbers, but.* declares 6",
        ),
    ],
)
def test_what_does_not_fit_is_refused(folder, tmp_path, change, match):
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = {**tiny_openvla.CONFIG, **change}
    (copy / "salus_policy.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(BackendError, match=match):
        load(copy)


def test_statistics_that_cannot_be_used_are_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "dataset_statistics.json").write_text(
        json.dumps({"cell": {"action": {"q01": [1.0], "q99": [0.0]}}})
    )
    with pytest.raises(BackendError, match="q01 and q99 of 'cell' cannot be used"):
        load(copy)


def test_a_checkpoint_cannot_vouch_for_its_own_code(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    trusting = {**tiny_openvla.CONFIG["openvla"], "trust_remote_code": True}
    text = yaml.safe_dump({**tiny_openvla.CONFIG, "openvla": trusting})
    (copy / "salus_policy.yaml").write_text(text)
    with pytest.raises(BackendError, match=r"'trust_remote_code' does not count.*policy_config"):
        load(copy)
    (tmp_path / "mine.yaml").write_text(text)
    load(copy, tmp_path / "mine.yaml")


def test_pickled_weights_are_not_loaded_even_beside_others(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(weights, copy / "pytorch_model.bin")
    with pytest.raises(BackendError, match="pickled weights are refused"):
        load(copy)
    save_file({"nothing": torch.zeros(1)}, copy / "adapter.safetensors")
    with pytest.raises(BackendError, match=r"cannot be loaded.*model\.safetensors"):
        load(copy)
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "pytorch_model.bin")}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(BackendError, match=r"index\.json names pytorch_model\.bin"):
        load(copy)
