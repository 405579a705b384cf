# SPDX-License-Identifier: Apache-2.0
"""A policy of a few matrices in NumPy, for any number of joints: it starts in no time."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from salus_core.actions import TOOL_MOTION, ActionSpec
from salus_policies.backends.base import (
    BackendError,
    PolicyBackend,
    PolicyInfo,
    PolicyOutput,
    hash_files,
)

MEMBERS, CHUNK, LATENT = 3, 4, 6
SCALE = np.array([0.01] * 3 + [0.1] * 3 + [1.0])
TOOL = replace(TOOL_MOTION, scale=tuple(SCALE.tolist()))


def joint_positions(names, scale=0.01):
    """Targets of joints, as many as there are names."""
    count = len(names)
    return ActionSpec.of(names, ("rad",) * count, ("joint_position",) * count, (scale,) * count)


def make_checkpoint(folder, seed=0, joints=7, camera="front", size=(32, 32), action=TOOL):
    folder = Path(folder)
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    tensors = {
        "encoder": random.normal(0, 0.3, (3 + joints, LATENT)),
        "heads": random.normal(0, 0.3, (MEMBERS, LATENT, CHUNK * action.size)),
        "size": np.array(size),
    }
    save_file(tensors, folder / f"{camera}.safetensors")
    (folder / "action.json").write_text(json.dumps(action.to_dict()))
    return folder


class NumpyBackend(PolicyBackend):
    def __init__(self, info, tensors):
        self._info = info
        self._tensors = tensors

    @classmethod
    def load(cls, checkpoint, options):
        files = list(Path(checkpoint).glob("*.safetensors"))
        if not files:
            raise BackendError(f"missing weights in {checkpoint}: make them with make_checkpoint")
        tensors = load_file(files[0])
        info = PolicyInfo(
            backend="numpy",
            policy=str(checkpoint),
            weights_hash=hash_files(Path(checkpoint), files),
            cameras={files[0].stem: tuple(int(edge) for edge in tensors["size"])},
            action=ActionSpec.of(**json.loads((Path(checkpoint) / "action.json").read_text())),
            control_period=1 / 30,
            members=MEMBERS,
            member_kind="checkpoints",
            embedding_size=LATENT,
            chunk_length=CHUNK,
            has_distribution=True,
        )
        return cls(info, tensors)

    @property
    def info(self):
        return self._info

    def bind(self, robot):
        joints = len(self._tensors["encoder"]) - 3
        if joints != len(robot.joint_names):
            raise BackendError(f"made for {joints} joints, not {len(robot.joint_names)}")

    def reset(self):
        pass

    def act(self, observation):
        (image,) = observation.images.values()
        inputs = np.concatenate([image.mean(axis=(0, 1)) / 255.0, observation.joint_positions])
        latent = np.tanh(inputs @ self._tensors["encoder"])
        action, scale = self._info.action, np.array(self._info.action_scale)
        chunks = (latent @ self._tensors["heads"]).reshape(MEMBERS, CHUNK, action.size) * scale
        chunks[..., action.indices("gripper")] = 1.0
        # Targets near where the joints are.
        targets = action.indices("joint_position")
        chunks[..., targets] += observation.joint_positions[: len(targets)]
        return PolicyOutput(
            action=chunks[:, 0].mean(axis=0),
            member_means=chunks[:, 0],
            member_stds=np.broadcast_to(scale, (MEMBERS, action.size)).copy(),
            chunks=chunks,
            latent=latent,
        )


class MortalBackend(NumpyBackend):
    """Its process dies at step 5, once: as if it was killed in the middle of an episode."""

    def act(self, observation):
        died = Path(self._info.policy) / "died"
        if observation.step == 5 and not died.exists():
            died.touch()
            os._exit(9)
        return super().act(observation)
