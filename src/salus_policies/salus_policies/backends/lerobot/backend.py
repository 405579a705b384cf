# SPDX-License-Identifier: Apache-2.0
"""A LeRobot policy behind the interface of backends: everything but how its samples are drawn."""

import abc
import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from salus_policies.action_adapter import ActionAdapter
from salus_policies.backends.base import (
    BackendError,
    LoadOptions,
    Observation,
    PolicyBackend,
    PolicyInfo,
    PolicyOutput,
    hash_files,
    read_statistics,
    sampling_key,
    torch_device,
    torch_precision,
)
from salus_policies.backends.checkpoints import resolve
from salus_policies.backends.lerobot.loading import Member, load_member
from salus_policies.options import Options
from salus_policies.policy_config import PolicyConfig, find_config, read_config
from salus_policies.robot import RobotDescription

LEAST_SPREAD = 1e-3
"""Floor of the kernels' width, in normalised action units: equal samples have no density."""


@dataclass(frozen=True)
class Sampling:
    """What the section of a LeRobot backend says.

    Attributes:
        members: Checkpoints of the ensemble; empty: the one checkpoint itself.
        samples: Noise samples K of one checkpoint.
        seed: Of the noise.
        propose: "mean": the mean over members or samples; "first": the first one.
        latent: Which latent is published; the backend says which it knows.
        chunk_length: Actions of a chunk that are used; None: all.
        vlm: Folder or hub id of the language model's configuration and tokenizer; empty: as the
            checkpoint says.
        steps: Denoising steps; None: as the checkpoint says.
    """

    members: tuple[str, ...]
    samples: int
    seed: int
    propose: str
    latent: str
    chunk_length: int | None
    vlm: str
    steps: int | None

    @classmethod
    def read(cls, options: Options, latents: tuple[str, ...]) -> "Sampling":
        """Reads the section.

        Raises:
            BackendError: An entry is unknown, or they contradict each other.
        """
        members = tuple(options.strings("members", []))
        found = cls(
            members=members,
            samples=options.integer("samples", 1 if members else 5, 1),
            seed=options.integer("seed", 0, 0),
            propose=options.choice("propose", ("mean", "first"), "mean"),
            latent=options.choice("latent", (*latents, "none"), latents[0]),
            chunk_length=options.integer("chunk_length", None, 1),
            vlm=options.text("vlm", ""),
            steps=options.integer("denoising_steps", None, 1),
        )
        options.end()
        if len(members) == 1:
            raise BackendError(f"{options.where}: one member is no ensemble: leave 'members' out")
        if members and found.samples != 1:
            raise BackendError(
                f"{options.where}: members are compared on the same noise, one sample each: leave "
                "'samples' out"
            )
        return found


class LeRobotBackend(PolicyBackend):
    """Loads, feeds and reads a LeRobot policy; a subclass draws the samples.

    Args:
        members: One checkpoint, or those of the ensemble.
        sampling: How to draw from them.
        config: What states and actions mean.
        info: Of the same.
        precision: Of the arithmetic.
    """

    kind: ClassVar[str]
    """LeRobot's name of the policy type, the backend's, and its section's."""
    latents: ClassVar[tuple[str, ...]] = ()
    """Latents that it can publish."""

    def __init__(
        self,
        members: list[Member],
        sampling: Sampling,
        config: PolicyConfig,
        info: PolicyInfo,
        precision: torch.dtype,
    ):
        self.members = members
        self.sampling = sampling
        self._config = config
        self._info = info
        self._precision = precision
        self._adapter: ActionAdapter | None = None
        self._key: int | None = None

    @classmethod
    def load(cls, checkpoint: str, options: LoadOptions) -> "LeRobotBackend":
        """Loads a folder or hub id; see PolicyBackend.load."""
        folder = resolve(checkpoint, cls.kind)
        config = read_config(find_config(folder, options.config), cls.kind)
        sampling = Sampling.read(config.own, cls.latents)
        device = torch_device(options.device)
        if options.threads:
            torch.set_num_threads(options.threads)
        base = config.path.parent
        folders = [resolve(name, cls.kind, base) for name in sampling.members] or [folder]
        members = [cls._load_member(path, device, sampling, base) for path in folders]
        for member in members:
            _check_features(member, config)
        info = cls._describe(members, sampling, config, checkpoint, folder, device)
        return cls(members, sampling, config, info, torch_precision(options.precision, device))

    @classmethod
    def _load_member(cls, folder: Path, device: str, sampling: Sampling, base: Path) -> Member:
        changes = {} if sampling.steps is None else {"num_steps": sampling.steps}
        return load_member(cls.kind, folder, device, changes, {})

    @classmethod
    @abc.abstractmethod
    def _latent_size(cls, member: Member, latent: str) -> int:
        """Elements of a latent."""

    @abc.abstractmethod
    def _sample(
        self, batches: list[dict[str, Any]], noise: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Draws chunks.

        Args:
            batches: Pre-processed observation of each member.
            noise: (K, H, padded action) standard normal; with several members K is 1.

        Returns:
            (K, H, A) normalised chunks of each member, and the (D,) latent.
        """

    @abc.abstractmethod
    def _noise_shape(self) -> tuple[int, int]:
        """(H, padded action) of one sample's noise."""

    def bind(self, robot: RobotDescription) -> None:
        """Fits state and actions to the robot, and tries the policy once on a black image."""
        for member in self.members:
            means = member.statistics.get("action", {}).get("mean")
            adapter = ActionAdapter(
                self._config.action,
                robot,
                member.action_size,
                None if means is None else means.cpu().numpy(),
            )
            if self._config.state is not None:
                self._config.state.bind(robot, member.state_size or 0)
        self._adapter = adapter
        middle = np.zeros(len(robot.joint_names))
        if robot.joint_lower:
            middle = np.nan_to_num(
                (np.array(robot.joint_lower) + np.array(robot.joint_upper)) / 2.0,
                posinf=0.0,
                neginf=0.0,
            )
        black = {n: np.zeros((*s, 3), np.uint8) for n, s in self._info.cameras.items()}
        first = Observation(
            images=black,
            joint_positions=middle,
            joint_velocities=0.0 * middle,
            tool_position=np.zeros(3),
            tool_quaternion=np.array([0.0, 0.0, 0.0, 1.0]),
            gripper_width=0.0,
            instruction="wait",
            step=0,
        )
        self._info.check(self.act(first))
        self._check_library(first)

    def _check_library(self, observation: Observation) -> None:
        """Compares with the library's own call; BackendError if its internals have changed."""

    @property
    def info(self) -> PolicyInfo:
        """What the policy is, needs and gives."""
        return self._info

    def reset(self) -> None:
        """Begins an episode: other noise, which follows from its first observation."""
        self._key = None
        for member in self.members:
            member.policy.reset()

    def batches(self, observation: Observation) -> list[dict[str, Any]]:
        """Pre-processes an observation for each member."""
        frame: dict[str, Any] = {"task": observation.instruction}
        for key, camera in self._config.cameras.items():
            image = np.ascontiguousarray(observation.images[camera.camera].transpose(2, 0, 1))
            frame[key] = torch.from_numpy(image).float() / 255.0
        if self._config.state is not None:
            frame["observation.state"] = torch.from_numpy(self._config.state.vector(observation))
        return [member.preprocess(dict(frame)) for member in self.members]

    def noise(self, step: int) -> torch.Tensor:
        """(K, H, padded action): of this episode and step, whatever was played before."""
        sequence = np.random.SeedSequence([self.sampling.seed, self._key or 0, step])
        shape = (self.sampling.samples, *self._noise_shape())
        values = np.random.default_rng(sequence).standard_normal(shape, np.float32)
        return torch.from_numpy(values).to(self._info.device)

    def act(self, observation: Observation) -> PolicyOutput:
        """Proposes an action; see PolicyBackend.act."""
        if self._adapter is None:
            raise RuntimeError("bind() was not called: the policy does not know its robot")
        if self._key is None:
            body = observation.joint_positions
            self._key = sampling_key(observation.images, np.empty(0) if body is None else body)
        with torch.inference_mode(), self._arithmetic():
            drawn, latent = self._sample(self.batches(observation), self.noise(observation.step))
        own = [
            member.postprocess(chunk.float()).cpu().numpy()[:, : self._info.chunk_length]
            for member, chunk in zip(self.members, drawn, strict=True)
        ]
        numbers = np.concatenate(own)
        chunks = self._adapter.convert(
            numbers, observation.joint_positions, observation.tool_quaternion
        )
        means = chunks[:, 0]
        mean = self.sampling.propose == "mean"
        proposed = means.mean(axis=0) if mean else means[0]
        stds = None
        if self._info.has_distribution:
            stds = kernel_widths(means, np.array(self._info.action_scale))
        return PolicyOutput(
            action=self._adapter.executable(proposed),
            member_means=means,
            member_stds=stds,
            chunks=chunks,
            latent=None if latent is None else latent.float().cpu().numpy(),
            policy_action=self._adapter.own(numbers[:, 0].mean(axis=0) if mean else numbers[0, 0]),
        )

    def _arithmetic(self) -> Any:
        if self._precision == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self._info.device, self._precision)

    @classmethod
    def _describe(
        cls,
        members: list[Member],
        sampling: Sampling,
        config: PolicyConfig,
        checkpoint: str,
        folder: Path,
        device: str,
    ) -> PolicyInfo:
        lengths = {member.config.chunk_size for member in members}
        if len(lengths) > 1:
            raise BackendError(f"the members' chunks differ in length: {sorted(lengths)}")
        size = 0 if sampling.latent == "none" else cls._latent_size(members[0], sampling.latent)
        hashes = [hash_files(m.folder, m.folder.glob("*.safetensors")) for m in members]
        joined = hashlib.sha256("".join(hashes).encode()).hexdigest()
        number = max(len(members), sampling.samples)
        kind = "checkpoints" if len(members) > 1 else "samples"
        return PolicyInfo(
            backend=cls.kind,
            policy=checkpoint,
            weights_hash=hashes[0] if len(members) == 1 else joined,
            cameras=config.camera_sizes,
            action=config.action.action,
            policy_action=config.action.policy_action,
            control_period=config.control_period,
            members=number,
            member_kind=kind if number > 1 else "single",
            embedding_size=size,
            chunk_length=min(sampling.chunk_length or min(lengths), *lengths),
            has_distribution=len(members) == 1 and number > 1,
            latent_statistics=read_statistics(folder),
            config_hash=config.hash,
            device=device,
        )


def kernel_widths(samples: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Widths of a Gaussian kernel estimate of the distribution that samples came from.

    With them the samples are a mixture of Gaussians, whose entropy is the policy's predictive
    entropy: an estimate, and a rough one for few samples.

    Source: Silverman, Density Estimation for Statistics and Data Analysis, 1986, eq. 4.14.

    Args:
        samples: (K, D), physical units.
        scale: (D,) one normalised unit.

    Returns:
        (K, D) the same width for each sample, physical units, positive.
    """
    count, size = samples.shape
    spread = (samples / scale).std(axis=0, ddof=1)
    width = np.maximum(spread * (4.0 / ((size + 2) * count)) ** (1.0 / (size + 4)), LEAST_SPREAD)
    return np.broadcast_to(width * scale, samples.shape)


def _check_features(member: Member, config: PolicyConfig) -> None:
    wanted, given = set(member.images), set(config.cameras)
    if wanted != given:
        raise BackendError(
            f"checkpoint {member.folder} has the image inputs {', '.join(sorted(wanted))}, but "
            f"{config.path} gives cameras for {', '.join(sorted(given))}"
        )
    if (member.state_size is None) != (config.state is None):
        raise BackendError(
            f"{config.path}: "
            + (
                f"'state' is missing: checkpoint {member.folder} takes one of "
                f"{member.state_size} numbers"
                if config.state is None
                else f"checkpoint {member.folder} takes no state: leave 'state' out"
            )
        )
