# SPDX-License-Identifier: Apache-2.0
"""The embedded ensemble behind the interface of backends."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from salus_core.actions import TOOL_MOTION
from salus_core.prevention.scene_head import DESCRIPTION, SceneHead
from salus_core.signals import LatentStatistics
from salus_policies.backends.base import (
    BackendError,
    LoadOptions,
    Observation,
    PolicyBackend,
    PolicyInfo,
    PolicyOutput,
    PolicyOutputError,
    hash_files,
    read_statistics,
    require_seen,
    sampling_key,
    torch_device,
    torch_precision,
)
from salus_policies.backends.checkpoints import resolve
from salus_policies.backends.embedded.config import JOINTS
from salus_policies.backends.embedded.ensemble import (
    ENSEMBLE_FILE,
    EmbeddedEnsemble,
    EnsembleOutput,
    member_folders,
)
from salus_policies.backends.embedded.inputs import (
    executable_action,
    proprioception_vector,
)
from salus_policies.backends.embedded.network import EmbeddedNetwork
from salus_policies.backends.embedded.pretrained import WEIGHTS_FILE, CheckpointError
from salus_policies.robot import RobotDescription

DEFAULT_FOLDER = Path(__file__).parent / "weights"
CAMERA_SIZE = 256
"""Edge of the images that the members were trained on, before their own area averaging [pixel]."""


class EmbeddedBackend(PolicyBackend):
    """Independently trained small policies that ship with SALUS.

    The latent h_t is the members' latents, one after the other: they were trained apart, so their
    mean would mix axes that have nothing in common.

    Args:
        ensemble: The loaded members.
        info: Of the same.
        scene_head: That was fitted to their latents; None: there is none.
    """

    def __init__(
        self, ensemble: EmbeddedEnsemble, info: PolicyInfo, scene_head: SceneHead | None = None
    ):
        self._ensemble = ensemble
        self._info = info
        self._scene_head = scene_head
        self._scale = np.array(info.action_scale, np.float64)
        self._instruction: tuple[str, np.ndarray] | None = None
        self.reset()

    @classmethod
    def load(cls, checkpoint: str, options: LoadOptions) -> "EmbeddedBackend":
        """Loads "default", an ensemble's folder or hub id; see PolicyBackend.load."""
        folder = DEFAULT_FOLDER if checkpoint == "default" else resolve(checkpoint, "embedded")
        if not (folder / ENSEMBLE_FILE).is_file():
            raise BackendError(
                f"no embedded policy '{checkpoint}': {folder / ENSEMBLE_FILE} does not exist; use "
                "checkpoint:=default, or a folder that `salus train_policy` wrote"
            )
        device = torch_device(options.device)
        if options.threads:
            torch.set_num_threads(options.threads)
        try:
            ensemble = EmbeddedEnsemble.from_pretrained(
                folder, device, torch_precision(options.precision, device, on_gpu="float16")
            )
            folder = folder.resolve()
            weights = [member / WEIGHTS_FILE for member in member_folders(folder)]
            info = _describe(
                ensemble, checkpoint, hash_files(folder, weights), device, read_statistics(folder)
            )
            _warm_up(ensemble)
            head = _scene_head(folder, info)
        except (CheckpointError, ValueError) as error:
            raise BackendError(f"embedded policy '{checkpoint}' cannot be used: {error}") from error
        return cls(ensemble, info, head)

    @classmethod
    def in_training(cls, network: EmbeddedNetwork) -> "EmbeddedBackend":
        """Members that are on no disk yet, as they are now, on the CPU."""
        ensemble = EmbeddedEnsemble(network, torch.device("cpu"), torch.float32)
        return cls(ensemble, _describe(ensemble, "in training", "", "cpu", None))

    def bind(self, robot: RobotDescription) -> None:
        """Refuses an arm with another number of joints; see PolicyBackend.bind."""
        if len(robot.joint_names) != JOINTS:
            raise BackendError(
                f"embedded policy '{self._info.policy}' was taught on an arm with {JOINTS} joints, "
                f"parameter 'joint_names' has {len(robot.joint_names)}: name the arm's {JOINTS} "
                "without its fingers, or choose a policy made for this robot (parameter 'backend')"
            )

    @property
    def info(self) -> PolicyInfo:
        """What the ensemble is, needs and gives."""
        return self._info

    def reset(self) -> None:
        """Forgets the gripper's width and what samples are drawn from, the only state."""
        self._width: float | None = None
        self._key: int | None = None
        self._step = -1

    def another(self) -> "EmbeddedBackend":
        """The same members for another environment; see PolicyBackend.another."""
        return type(self)(self._ensemble, self._info, self._scene_head)

    @property
    def scene_head(self) -> SceneHead | None:
        """What lies beside the members' folders; see PolicyBackend.scene_head."""
        return self._scene_head

    def act(self, observation: Observation) -> PolicyOutput:
        """Proposes an action around the members' mean; see PolicyBackend.act."""
        return self.act_together([self], [observation])[0]

    @classmethod
    def act_together(
        cls, backends: Sequence["EmbeddedBackend"], observations: Sequence[Observation]
    ) -> list[PolicyOutput]:
        """Runs the members on all observations in one pass; see PolicyBackend.act_together."""
        try:
            inputs = [
                backend._inputs(observation)
                for backend, observation in zip(backends, observations, strict=True)
            ]
            found = backends[0]._ensemble.act_each(inputs)
        except ValueError as error:
            raise PolicyOutputError(str(error)) from error
        return [
            backend._output(observation, output)
            for backend, observation, output in zip(backends, observations, found, strict=True)
        ]

    def _inputs(
        self, observation: Observation
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Images, proprioception and tokens of the next step."""
        require_seen(
            observation, "joint_positions", "tool_position", "tool_quaternion", "gripper_width"
        )
        width = observation.gripper_width
        previous = width if self._width is None else self._width
        if observation.step - self._step > 1:
            # The network knows the gripper's speed per step: spread the motion over the gap.
            previous = width - (width - previous) / (observation.step - self._step)
        self._width, self._step = width, observation.step
        proprioception = proprioception_vector(
            observation.tool_position,
            observation.tool_quaternion,
            width,
            previous,
            observation.joint_positions,
        )
        if self._key is None:
            self._key = sampling_key(observation.images, proprioception)
        return dict(observation.images), proprioception, self._tokens(observation.instruction)

    def _output(self, observation: Observation, output: EnsembleOutput) -> PolicyOutput:
        chunks = output.means * self._scale
        return PolicyOutput(
            action=executable_action(
                output.means[:, 0],
                output.stds[:, 0],
                self._key,
                observation.step,
                self._ensemble.config,
            ),
            member_means=chunks[:, 0],
            member_stds=output.stds[:, 0] * self._scale,
            chunks=chunks,
            latent=output.latents.reshape(-1),
        )

    def _tokens(self, instruction: str) -> np.ndarray:
        if self._instruction is None or self._instruction[0] != instruction:
            self._instruction = (instruction, self._ensemble.tokenize(instruction))
        return self._instruction[1]


def _scene_head(folder: Path, info: PolicyInfo) -> SceneHead | None:
    """The head beside the weights.

    Raises:
        SceneHeadError: it is damaged, or was fitted to other weights.
    """
    if not (folder / DESCRIPTION).is_file():
        return None
    head = SceneHead.load(folder)
    head.require_policy(info.weights_hash)
    return head


def _warm_up(ensemble: EmbeddedEnsemble) -> None:
    """Run the network a few times: torch prepares its kernels in the first calls.

    Raises:
        CheckpointError: it gives a number that is not finite.
    """
    config = ensemble.config
    image = np.zeros((config.image_size, config.image_size, 3), np.uint8)
    images = dict.fromkeys(config.cameras, image)
    proprioception = np.zeros(len(config.proprioception), np.float32)
    words = ensemble.tokenize(config.vocabulary[-1])
    for _ in range(3):
        output = ensemble.act(images, proprioception, words)
    if not all(np.isfinite(values).all() for values in output):
        raise CheckpointError("a trial step gives a number that is not finite")


def _describe(
    ensemble: EmbeddedEnsemble,
    checkpoint: str,
    weights_hash: str,
    device: str,
    statistics: LatentStatistics | None,
) -> PolicyInfo:
    config = ensemble.config
    return PolicyInfo(
        backend="embedded",
        policy=checkpoint,
        weights_hash=weights_hash,
        cameras={name: (CAMERA_SIZE, CAMERA_SIZE) for name in config.cameras},
        action=replace(TOOL_MOTION, scale=tuple(config.action_scale)),
        control_period=config.control_period,
        members=ensemble.members,
        member_kind="checkpoints" if ensemble.members > 1 else "single",
        embedding_size=ensemble.members * config.latent_size,
        chunk_length=config.chunk_length,
        has_distribution=True,
        latent_statistics=statistics,
        device=device,
    )
