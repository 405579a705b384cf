# SPDX-License-Identifier: Apache-2.0
"""What a policy backend takes and gives."""

import abc
import hashlib
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from salus_core.actions import ActionSpec
from salus_core.runtime import Observation, PolicyOutput
from salus_core.runtime.monitor import tool_translation
from salus_core.signals import MEMBER_KINDS, LatentStatistics

if TYPE_CHECKING:
    import torch

    from salus_core.prevention.scene_head import SceneHead
    from salus_policies.robot import RobotDescription

MAX_EMBEDDING = 16384
"""Bound of VlaSignals.embedding."""
MAX_CHUNK = 65536
"""Bound of VlaSignals.chunk: members x chunk length x actions."""

STATISTICS_FILE = "latent_statistics.safetensors"
"""In a checkpoint's folder: the statistics of its training latents."""

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "float32", "float16", "bfloat16")


class BackendError(Exception):
    """A backend or its checkpoint cannot be used; the message says why and what to do."""


class PolicyOutputError(ValueError):
    """A policy has no usable action for an observation; the message says why."""


@dataclass(frozen=True)
class LoadOptions:
    """How to load a checkpoint.

    Attributes:
        device: "auto" (CUDA where there is a GPU), "cpu" or "cuda".
        precision: "auto" (float32 on the CPU, the backend's choice on a GPU) or a name.
        threads: Threads of the policy's arithmetic; 0: the library's default.
        config: File with the policy's configuration (cameras, state, action space), for backends
            that need one; empty: the one in the checkpoint's folder.
    """

    device: str = "auto"
    precision: str = "auto"
    threads: int = 1
    config: str = ""


@dataclass(frozen=True)
class PolicyInfo:
    """What a loaded policy is, needs and gives.

    Attributes:
        backend: Name of the backend.
        policy: Identity of the checkpoint: name, folder or hub id.
        weights_hash: SHA-256 over the weight files, from `hash_files`.
        cameras: (height, width) of each camera that the policy needs, in pixels; may be empty.
        action: What the A numbers of PolicyOutput.action are, with their scale.
        control_period: Time per step that the policy was made for [s].
        members: Number of members.
        member_kind: "checkpoints", "samples" (noise samples of one checkpoint) or "single".
        embedding_size: D; 0: no latent.
        chunk_length: H; 0: no chunks.
        has_distribution: The policy gives member_stds or token_probabilities.
        latent_statistics: Of the training latents; None: they do not ship with the policy.
        config_hash: SHA-256 of the policy's configuration file; empty: it has none.
        device: Where it runs, for diagnostics.
        policy_action: What the P numbers of PolicyOutput.policy_action are; None: there are none,
            as `action` is the policy's own.
    """

    backend: str
    policy: str
    weights_hash: str
    cameras: Mapping[str, tuple[int, int]]
    action: ActionSpec
    control_period: float
    members: int
    member_kind: str
    embedding_size: int = 0
    chunk_length: int = 0
    has_distribution: bool = False
    latent_statistics: LatentStatistics | None = None
    config_hash: str = ""
    device: str = "cpu"
    policy_action: ActionSpec | None = None

    def __post_init__(self):
        """Checks that the policy fits the messages.

        Raises:
            BackendError: It does not.
        """
        problems = []
        if not self.action.scale:
            problems.append("its action has no scale, which signals are computed with")
        least = {"members": 1, "embedding_size": 0, "chunk_length": 0}
        problems += [
            f"{name} is {getattr(self, name)}"
            for name, bound in least.items()
            if getattr(self, name) < bound
        ]
        if self.member_kind not in MEMBER_KINDS:
            problems.append(f"member_kind '{self.member_kind}' is none of {MEMBER_KINDS}")
        if self.embedding_size > MAX_EMBEDDING:
            problems.append(f"its latent has {self.embedding_size} > {MAX_EMBEDDING} elements")
        if self.members * self.chunk_length * self.action.size > MAX_CHUNK:
            problems.append(
                f"its chunks have {self.members} x {self.chunk_length} x {self.action.size} > "
                f"{MAX_CHUNK} elements"
            )
        statistics = self.latent_statistics
        if statistics is not None and len(statistics.mean) != self.embedding_size:
            problems.append(
                f"its latent statistics are for {len(statistics.mean)} elements, its latent has "
                f"{self.embedding_size}"
            )
        if problems:
            raise BackendError(f"policy '{self.policy}' cannot be used: {'; '.join(problems)}")

    @property
    def action_scale(self) -> tuple[float, ...]:
        """(A,) one normalised action unit per dimension."""
        return self.action.scale

    @property
    def chunk_shape(self) -> tuple[int, int, int]:
        """(members, chunk length, A); zeros without chunks."""
        if self.chunk_length == 0:
            return (0, 0, 0)
        return (self.members, self.chunk_length, self.action.size)

    @property
    def has_tool_motion(self) -> bool:
        """The action moves one tool, so that its achieved motion can be compared."""
        return tool_translation(self.action) is not None

    def check(self, output: PolicyOutput) -> None:
        """Checks that an output is what this info promises: shapes, and no NaN or infinity.

        Args:
            output: Of one step.

        Raises:
            PolicyOutputError: It is not.
        """
        members = (self.members, self.action.size)
        own = 0 if self.policy_action is None else self.policy_action.size
        expected = {
            "action": (self.action.size,),
            "policy_action": (own,),
            "member_means": members,
            "member_stds": members,
            "chunks": self.chunk_shape,
            "latent": (self.embedding_size,),
        }
        for name, shape in expected.items():
            value = getattr(output, name)
            if value is None:
                wanted = name in ("chunks", "latent", "policy_action") and any(shape)
                if name == "action" or wanted:
                    raise PolicyOutputError(f"the policy gave no {name}")
                continue
            if np.shape(value) != shape:
                raise PolicyOutputError(
                    f"the policy gave {name} of shape {np.shape(value)}, expected {shape}"
                )
            if not np.all(np.isfinite(value)):
                raise PolicyOutputError(f"the policy gave {name} with NaN or infinity")


class PolicyBackend(abc.ABC):
    """A policy that drives the arm.

    One object serves one environment. Calls come from one thread at a time, not always the same.
    """

    @classmethod
    @abc.abstractmethod
    def load(cls, checkpoint: str, options: LoadOptions) -> "PolicyBackend":
        """Loads a checkpoint.

        Args:
            checkpoint: "default" (the one that ships with SALUS, if there is one), a folder, a
                name or a hub id: the backend says which it knows.
            options: Device, precision, threads.

        Returns:
            The backend, ready to act.

        Raises:
            BackendError: The checkpoint is missing or does not fit; the message says where it was
                looked for and what to install, download or train.
        """

    def bind(self, robot: "RobotDescription") -> None:  # noqa: B027 - may be left out
        """Fits the policy to a robot; called once, after `load` and before the first `act`.

        Args:
            robot: Its joints, limits and kinematics.

        Raises:
            BackendError: The policy's state or actions do not fit the robot.
        """

    @property
    @abc.abstractmethod
    def info(self) -> PolicyInfo:
        """What the policy is, needs and gives."""

    @abc.abstractmethod
    def reset(self) -> None:
        """Forgets the episode; called before the first `act` of every episode."""

    @abc.abstractmethod
    def act(self, observation: Observation) -> PolicyOutput:
        """Proposes an action.

        Args:
            observation: Of one step.

        Returns:
            The proposal.

        Raises:
            PolicyOutputError: There is none for this observation; nothing is executed then.
        """

    @property
    def scene_head(self) -> "SceneHead | None":
        """What reads the scene off its latent; None: nobody has fitted one to this policy."""
        return None

    def another(self) -> "PolicyBackend":
        """The same weights for another environment, with a state of its own.

        Raises:
            BackendError: This policy drives one environment only.
        """
        raise BackendError(
            f"policy '{self.info.policy}' of backend '{self.info.backend}' drives one environment "
            "at a time: run one environment per process"
        )

    @classmethod
    def act_together(
        cls, backends: Sequence["PolicyBackend"], observations: Sequence[Observation]
    ) -> list[PolicyOutput]:
        """Proposes an action for each of several environments, in one pass where it can.

        Args:
            backends: One per environment, made by `another`.
            observations: One per environment.

        Returns:
            What `act` gives for each, to the last bit.

        Raises:
            PolicyOutputError: There is none for one of the observations.
        """
        pairs = zip(backends, observations, strict=True)
        return [backend.act(observation) for backend, observation in pairs]


SOURCES = {
    "joint_positions": "joint_states, and the parameter joint_names",
    "joint_velocities": "velocities in joint_states",
    "tool_position": "tool_pose",
    "tool_quaternion": "tool_pose",
    "gripper_width": "joint_states, and the parameter finger_joint_names",
}
"""What a robot gives a field of Observation by."""


def require_seen(observation: Observation, *names: str) -> None:
    """Checks that an observation has what a policy needs.

    Args:
        observation: Of one step.
        names: Fields that must not be None.

    Raises:
        PolicyOutputError: One is; it is never made up.
    """
    for name in names:
        if getattr(observation, name) is None:
            raise PolicyOutputError(
                f"the policy needs {name}, which the robot does not tell: give {SOURCES[name]}"
            )


def sampling_key(images: Mapping[str, np.ndarray], state: np.ndarray) -> int:
    """A number that an episode's samples are drawn from: a checksum of its first observation.

    Args:
        images: by camera, uint8.
        state: what else is seen, as numbers.

    Returns:
        An unsigned 32 bit number.
    """
    key = zlib.crc32(np.ascontiguousarray(state))
    for camera in sorted(images):
        key = zlib.crc32(np.ascontiguousarray(images[camera]), key)
    return key


def hash_files(folder: Path, paths: Iterable[Path]) -> str:
    """SHA-256 over weight files: their names below a folder and their contents, in order of names.

    Args:
        folder: Where names start, so that a copy of the folder has the same digest.
        paths: The files; one from elsewhere has its way from the folder as its name.

    Returns:
        Hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, path in sorted((os.path.relpath(path, folder), path) for path in paths):
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def torch_device(name: str) -> str:
    """Gives the device of LoadOptions for torch.

    Args:
        name: One of DEVICES.

    Returns:
        "cpu" or "cuda".

    Raises:
        BackendError: There is no GPU.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise BackendError("device 'cuda' was asked for, but torch sees no GPU; use device:=auto")
    return name


def torch_precision(name: str, device: str, on_gpu: str = "bfloat16") -> "torch.dtype":
    """Gives the precision of LoadOptions for torch.

    Args:
        name: One of PRECISIONS.
        device: From `torch_device`.
        on_gpu: What "auto" means on a GPU.

    Returns:
        With "auto" float32 elsewhere.
    """
    import torch

    if name == "auto":
        name = on_gpu if device == "cuda" else "float32"
    return getattr(torch, name)


def read_statistics(folder: Path) -> LatentStatistics | None:
    """Reads a checkpoint's statistics of its training latents.

    Args:
        folder: The checkpoint.

    Returns:
        None if there are none.

    Raises:
        BackendError: The file cannot be used.
    """
    path = folder / STATISTICS_FILE
    if not path.is_file():
        return None
    try:
        return LatentStatistics.load(path)
    except ValueError as error:
        raise BackendError(str(error)) from error
