# SPDX-License-Identifier: Apache-2.0
"""A policy's configuration: what its numbers mean on a robot, which no checkpoint says."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short

import numpy as np

from salus_core import paths
from salus_policies.action_adapter import joint_order
from salus_policies.action_space import JOINT_UNITS, ActionSpace
from salus_policies.backends.base import BackendError, Observation, require_seen
from salus_policies.kinematics import euler_angles, quaternion_matrix, rotation_vector
from salus_policies.options import Options
from salus_policies.robot import RobotDescription

CONFIG_FILE = "salus_policy.yaml"
SCHEMA = 1
MAX_EDGE = 8192
"""Of an image [pixel]."""
DOCUMENTATION = "docs/backends.md"

STATE_SIZES: Mapping[str, int | None] = {
    "tool_position": 3,
    "tool_quaternion": 4,
    "tool_rotation_vector": 3,
    "tool_euler_xyz": 3,
    "gripper_width": 1,
    "gripper_opening": 1,
    "finger_positions": 2,
    "joint_positions": None,
    "joint_velocities": None,
    "zero": 1,
}
"""Parts of a state vector and their sizes; None: as many as the robot has joints."""
OBSERVED: Mapping[str, tuple[str, ...]] = {
    "tool_position": ("tool_position",),
    "tool_quaternion": ("tool_quaternion",),
    "tool_rotation_vector": ("tool_quaternion",),
    "tool_euler_xyz": ("tool_quaternion",),
    "gripper_width": ("gripper_width",),
    "gripper_opening": ("gripper_width",),
    "finger_positions": ("gripper_width",),
    "joint_positions": ("joint_positions",),
    "joint_velocities": ("joint_velocities",),
}
"""Fields of Observation that a part is made of."""


@dataclass(frozen=True)
class CameraInput:
    """One image input of a policy.

    Attributes:
        camera: Name of the camera that it is fed from.
        size: (height, width) of that camera's images [pixel].
    """

    camera: str
    size: tuple[int, int]


class StateLayout:
    """How a policy's state vector is put together.

    Args:
        parts: Names of STATE_SIZES, in order.
        joints: The policy's order of joints; empty: the robot's.
        joint_unit: "rad" or "deg", of joint_positions and joint_velocities.
        gripper_open_width: Width of the open gripper, for gripper_opening [m].
    """

    def __init__(
        self,
        parts: Sequence[str],
        joints: Sequence[str],
        joint_unit: str,
        gripper_open_width: float | None,
    ):
        self.parts = tuple(parts)
        self._joints = tuple(joints)
        self._unit = JOINT_UNITS[joint_unit]
        self._open_width = gripper_open_width

    @classmethod
    def read(cls, options: Options) -> "StateLayout":
        """From the section `state`.

        Raises:
            BackendError: A part is unknown, or needs an entry that is missing.
        """
        parts = options.strings("parts")
        joints = options.strings("joints", [])
        unit = options.choice("joint_unit", tuple(JOINT_UNITS), "rad")
        width = options.number("gripper_open_width", None, 1e-6)
        options.end()
        unknown = [part for part in parts if part not in STATE_SIZES]
        if unknown:
            raise BackendError(
                f"{options.where}: unknown parts {', '.join(unknown)}; known: "
                f"{', '.join(STATE_SIZES)}"
            )
        if "gripper_opening" in parts and width is None:
            raise BackendError(f"{options.where}: gripper_opening needs 'gripper_open_width' [m]")
        if not joints and {"joint_positions", "joint_velocities"} & set(parts):
            raise BackendError(f"{options.where}: name the policy's 'joints', in its order")
        return cls(parts, joints, unit, width)

    def bind(self, robot: RobotDescription, size: int) -> None:
        """Fits the layout to a robot.

        Args:
            robot: Whose joints are observed.
            size: Of the state that the checkpoint takes.

        Raises:
            BackendError: The joints or the size differ.
        """
        self._order = joint_order(self._joints, robot, "state.joints") if self._joints else []
        sizes = [STATE_SIZES[part] or len(self._order) for part in self.parts]
        if sum(sizes) != size:
            described = ", ".join(f"{p} {s}" for p, s in zip(self.parts, sizes, strict=True))
            raise BackendError(
                f"the checkpoint takes a state of {size} numbers, but its configuration puts "
                f"{sum(sizes)} together ({described})"
            )

    def vector(self, observation: Observation) -> np.ndarray:
        """The state of one observation: float32, the parts one after the other.

        Raises:
            PolicyOutputError: The robot does not tell what a part is made of.
        """
        parts = [np.atleast_1d(self._part(name, observation)) for name in self.parts]
        return np.concatenate(parts).astype(np.float32)

    def _part(self, name: str, seen: Observation) -> np.ndarray | float:
        require_seen(seen, *OBSERVED.get(name, ()))
        if name in ("tool_rotation_vector", "tool_euler_xyz"):
            matrix = quaternion_matrix(seen.tool_quaternion)
            return (euler_angles if name == "tool_euler_xyz" else rotation_vector)(matrix)
        if name in ("joint_positions", "joint_velocities"):
            return getattr(seen, name)[self._order] / self._unit
        if name == "gripper_opening":
            return min(max(seen.gripper_width / self._open_width, 0.0), 1.0)
        if name == "finger_positions":
            return np.array([seen.gripper_width / 2.0, -seen.gripper_width / 2.0])
        return 0.0 if name == "zero" else getattr(seen, name)


@dataclass(frozen=True)
class PolicyConfig:
    """What every backend of a foreign policy reads.

    Attributes:
        path: The file, for messages.
        control_period: Time per step that the policy was trained at [s].
        cameras: By name of the policy's image input.
        action: What its actions mean.
        state: How its state is put together; None: it takes none.
        own: Section of the backend, its own to read.
        hash: SHA-256 of the file.
    """

    path: Path
    control_period: float
    cameras: Mapping[str, CameraInput]
    action: ActionSpace
    state: StateLayout | None
    own: Options
    hash: str

    @property
    def camera_sizes(self) -> dict[str, tuple[int, int]]:
        """(height, width) by camera, for PolicyInfo."""
        return {entry.camera: entry.size for entry in self.cameras.values()}


def find_config(folder: Path, given: str) -> Path:
    """The configuration of a checkpoint.

    Args:
        folder: Of the checkpoint.
        given: LoadOptions.config; empty: the file in the folder.

    Returns:
        An existing file.

    Raises:
        BackendError: There is none.
    """
    path = Path(given).expanduser() if given else folder / CONFIG_FILE
    if not path.is_file():
        raise BackendError(
            f"no policy configuration {path}: a checkpoint does not say what its actions mean. "
            f"Write that file as {DOCUMENTATION} describes, or give another one with the parameter "
            "policy_config"
        )
    return path


def read_config(path: Path, section: str) -> PolicyConfig:
    """Reads a configuration.

    Args:
        path: The YAML file.
        section: Name of the backend's own section, which may be missing.

    Returns:
        The configuration.

    Raises:
        BackendError: The file is no YAML, or an entry is missing, unknown or out of its range.
    """
    options = read_yaml(path)
    if options.integer("schema") != SCHEMA:
        raise BackendError(f"{path}: 'schema' must be {SCHEMA}")
    period = options.number("control_period", minimum=1e-4)
    cameras = _read_cameras(options.take("cameras"), f"{path}: cameras")
    action = ActionSpace.read(options.section("action"))
    state = options.take("state", None)
    layout = None if state is None else StateLayout.read(Options(state, f"{path}: state"))
    own = Options(options.take(section, {}), f"{path}: {section}")
    options.end()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return PolicyConfig(path, period, cameras, action, layout, own, digest)


def read_yaml(path: Path) -> Options:
    """Reads a YAML file.

    Raises:
        BackendError: It cannot be read, or is no mapping.
    """
    try:
        return Options(paths.read_yaml(path), str(path))
    except paths.PathError as error:
        raise BackendError(f"cannot read the policy configuration: {error}") from error


def _read_cameras(given: object, where: str) -> dict[str, CameraInput]:
    if not isinstance(given, Mapping) or not given:
        raise BackendError(f"{where}: must name the policy's image inputs, is {short(given)}")
    cameras = {}
    for name, values in given.items():
        options = Options(values, f"{where}: {name}")
        camera = options.text("camera")
        size = options.take("size")
        options.end()
        good = isinstance(size, list) and len(size) == 2
        if not good or not all(type(edge) is int and 0 < edge <= MAX_EDGE for edge in size):
            raise BackendError(
                f"{options.where}: 'size' must be [height, width] of 1 to {MAX_EDGE} pixels, is "
                f"{short(size)}"
            )
        cameras[str(name)] = CameraInput(camera, (size[0], size[1]))
    sizes: dict[str, tuple[int, int]] = {}
    for entry in cameras.values():
        if sizes.setdefault(entry.camera, entry.size) != entry.size:
            raise BackendError(f"{where}: camera '{entry.camera}' has two sizes")
    return cameras
