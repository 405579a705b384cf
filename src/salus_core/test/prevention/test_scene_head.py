# SPDX-License-Identifier: Apache-2.0
"""Scene heads: on disk, step by step, and what is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from salus_core.prevention.scene_head import (
    DESCRIPTION,
    WEIGHTS,
    SceneHead,
    SceneHeadError,
    SceneHeadShape,
    SceneNetwork,
    scene_inputs,
)
from salus_core.runtime import Observation

SHAPE = SceneHeadShape(("goal.x", "goal.y", "grasped"), 5, 4, "abc", "test")


@pytest.fixture
def head():
    torch.manual_seed(0)
    return SceneHead(SHAPE, SceneNetwork(SHAPE))


def observation(rng, step=0, width=0.05):
    return Observation(
        images={},
        joint_positions=None,
        joint_velocities=None,
        tool_position=rng.normal(size=3),
        tool_quaternion=np.array([0.0, 1.0, 0.0, 0.0]),
        gripper_width=width,
        instruction="",
        step=step,
    )


def test_a_head_is_the_same_after_writing_and_reading(head, tmp_path):
    head.save(tmp_path, {"episodes": 3})
    again = SceneHead.load(tmp_path)
    assert again.shape == SHAPE
    assert again.hash == head.hash
    rng = np.random.default_rng(0)
    seen, latent = observation(rng), rng.normal(size=5)
    one, other = (each.stream().update(seen, latent) for each in (head, again))
    np.testing.assert_array_equal(one.values, other.values)
    assert one.names == SHAPE.names
    assert one.source == "test"
    assert (one.std > 0).all()


def test_step_by_step_is_the_same_as_at_once(head):
    rng = np.random.default_rng(1)
    seen = [observation(rng, step) for step in range(7)]
    latents = rng.normal(size=(7, 5))
    stream = head.stream()
    for _ in range(2):  # a second episode begins with nothing
        stream.reset()
        live = [stream.update(*each).values for each in zip(seen, latents, strict=True)]
    inputs = scene_inputs(
        latents,
        np.array([each.tool_position for each in seen]),
        np.array([each.tool_quaternion for each in seen]),
        np.array([each.gripper_width for each in seen]),
    )
    mean, _, _ = head.network(torch.from_numpy(inputs)[None])
    expected = mean[0] * head.network.output_scale + head.network.output_mean
    np.testing.assert_allclose(live, expected.numpy(), atol=1e-6)


def test_without_what_it_reads_nothing_is_estimated(head):
    rng = np.random.default_rng(2)
    stream, latent = head.stream(), rng.normal(size=5)
    assert stream.update(observation(rng), None) is None
    assert stream.update(observation(rng, width=None), latent) is None
    assert stream.update(observation(rng), np.full(5, np.nan)) is None
    with pytest.raises(SceneHeadError, match="6 numbers"):
        stream.update(observation(rng), rng.normal(size=6))


def test_another_policy_is_refused(head):
    head.require_policy("abc")
    with pytest.raises(SceneHeadError, match="latent of policy abc"):
        head.require_policy("def")


def change(folder, **entries):
    path = folder / DESCRIPTION
    content = json.loads(path.read_text()) | entries
    path.write_text(json.dumps(content))


def test_what_is_wrong_with_a_head_on_disk_is_named(head, tmp_path):
    with pytest.raises(SceneHeadError, match=DESCRIPTION):
        SceneHead.load(tmp_path)
    for entries in (
        {"format": 9},
        {"width": 10**9},
        {"width": "many"},
        {"names": []},
        {"embedding_size": -1},
        {"extra": 1},
    ):
        head.save(tmp_path)
        change(tmp_path, **entries)
        with pytest.raises(SceneHeadError):
            SceneHead.load(tmp_path)
    head.save(tmp_path)
    (tmp_path / DESCRIPTION).write_text("[" * 100_000)
    with pytest.raises(SceneHeadError, match="JSON"):
        SceneHead.load(tmp_path)
    head.save(tmp_path)
    damaged = bytearray((tmp_path / WEIGHTS).read_bytes())
    damaged[-1] ^= 1
    (tmp_path / WEIGHTS).write_bytes(damaged)
    with pytest.raises(SceneHeadError, match="is not the file"):
        SceneHead.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("last.bias", np.nan), ("input_scale", 0.0), ("output_mean", np.inf)]
)
def test_weights_that_nobody_can_compute_with_are_refused(head, tmp_path, name, value):
    head.save(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    tensors[name] = np.full_like(tensors[name], value)
    save_file(tensors, tmp_path / WEIGHTS)
    import hashlib

    digest = hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest()
    change(tmp_path, weights_sha256=digest)
    with pytest.raises(SceneHeadError, match=name.replace(".", r"\.")):
        SceneHead.load(tmp_path)
