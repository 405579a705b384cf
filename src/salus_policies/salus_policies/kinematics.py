# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics of one serial chain of a URDF, for policies that speak in joint angles."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

MOVING = ("revolute", "continuous", "prismatic")


class KinematicsError(ValueError):
    """A robot's description cannot be used; the message says why."""


@dataclass(frozen=True)
class _Joint:
    name: str
    kind: str
    parent: str
    child: str
    rotation: np.ndarray
    translation: np.ndarray
    axis: np.ndarray
    limits: tuple[float, float] | None


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """Rotation matrices of rotation vectors.

    Args:
        vector: (..., 3) [rad].

    Returns:
        (..., 3, 3).
    """
    return _matrices(Rotation.from_rotvec(_rows(vector, 3)), vector)


def rotation_vector(matrix: np.ndarray) -> np.ndarray:
    """Rotation vectors of rotation matrices.

    Args:
        matrix: (..., 3, 3).

    Returns:
        (..., 3) [rad], of a length up to pi.
    """
    found = Rotation.from_matrix(_rows(matrix, 3, 3)).as_rotvec()
    return found.reshape(np.shape(matrix)[:-1])


def euler_matrix(angles: np.ndarray) -> np.ndarray:
    """Rotation matrices of roll, pitch and yaw about fixed axes (URDF's rpy).

    Args:
        angles: (..., 3) [rad].

    Returns:
        (..., 3, 3), Rz(yaw) Ry(pitch) Rx(roll).
    """
    return _matrices(Rotation.from_euler("xyz", _rows(angles, 3)), angles)


def euler_angles(matrix: np.ndarray) -> np.ndarray:
    """Roll, pitch and yaw of rotation matrices; the inverse of `euler_matrix`.

    Args:
        matrix: (..., 3, 3).

    Returns:
        (..., 3) [rad]; pitch within -pi/2 and pi/2.
    """
    found = Rotation.from_matrix(_rows(matrix, 3, 3)).as_euler("xyz")
    return found.reshape(np.shape(matrix)[:-1])


def quaternion_matrix(quaternion: np.ndarray) -> np.ndarray:
    """Rotation matrix of a quaternion.

    Args:
        quaternion: (4,) x, y, z, w.

    Returns:
        (3, 3).
    """
    return Rotation.from_quat(quaternion).as_matrix()


def _rows(values: np.ndarray, *shape: int) -> np.ndarray:
    return np.asarray(values, np.float64).reshape(-1, *shape)


def _matrices(rotations: Rotation, given: np.ndarray) -> np.ndarray:
    return rotations.as_matrix().reshape(*np.shape(given)[:-1], 3, 3)


class Chain:
    """The joints between the base of a robot and its tool.

    Args:
        urdf: The description as XML.
        joint_names: The arm's joints in the order of the positions; all moving joints of the chain
            must be among them and the other way round.
        tool_link: Where the chain ends; empty: it is the one link without children below the last
            joint, which must be unique.

    Raises:
        KinematicsError: It is no URDF, a joint is missing or not moving, or the chain has other
            moving joints than those named.
    """

    def __init__(self, urdf: str, joint_names: Sequence[str], tool_link: str = ""):
        joints = _parse(urdf)
        by_name = {joint.name: joint for joint in joints}
        missing = [name for name in joint_names if name not in by_name]
        if missing:
            raise KinematicsError(
                f"the robot's description has no joint {', '.join(missing)}; it has "
                f"{', '.join(by_name)}"
            )
        by_child = {joint.child: joint for joint in joints}
        tool = tool_link or _tip(joints, by_name, joint_names)
        if tool not in by_child:
            raise KinematicsError(f"the robot's description has no link '{tool}' with a parent")
        path = []
        link = tool
        while link in by_child:
            path.append(by_child[link])
            link = by_child[link].parent
        self._path = path[::-1]
        self.base_link, self.tool_link = link, tool
        moving = [joint.name for joint in self._path if joint.kind in MOVING]
        if set(moving) != set(joint_names):
            raise KinematicsError(
                f"from '{link}' to '{tool}' the robot's description moves "
                f"{', '.join(moving) or 'nothing'}, but joint_names are {', '.join(joint_names)}"
            )
        self._index = {name: i for i, name in enumerate(joint_names)}
        self.limits = {joint.name: joint.limits for joint in self._path if joint.name in moving}

    def pose(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pose of the tool in the base.

        Args:
            positions: (..., J) in the order of joint_names [rad, m].

        Returns:
            (..., 3) position [m] and (..., 3, 3) rotation.
        """
        positions = np.asarray(positions, np.float64)
        rotation = np.broadcast_to(np.eye(3), (*positions.shape[:-1], 3, 3))
        translation = np.zeros((*positions.shape[:-1], 3))
        for joint in self._path:
            translation = translation + rotation @ joint.translation
            rotation = rotation @ joint.rotation
            if joint.kind not in MOVING:
                continue
            moved = positions[..., self._index[joint.name], None] * joint.axis
            if joint.kind == "prismatic":
                translation = translation + (rotation @ moved[..., None])[..., 0]
            else:
                rotation = rotation @ rotation_matrix(moved)
        return translation, rotation


def _parse(urdf: str) -> list[_Joint]:
    try:
        root = ElementTree.fromstring(urdf)
    except ElementTree.ParseError as error:
        raise KinematicsError(f"the robot's description is no XML: {error}") from error
    joints = [_joint(element) for element in root.findall("joint")]
    if root.tag != "robot" or not joints:
        raise KinematicsError("the robot's description is no URDF: no <robot> with joints")
    return joints


def _joint(element: ElementTree.Element) -> _Joint:
    name = element.get("name", "")
    parent, child = element.find("parent"), element.find("child")
    if not name or parent is None or child is None:
        raise KinematicsError(f"joint '{name}' of the robot's description lacks name or links")
    origin, axis, limit = (element.find(tag) for tag in ("origin", "axis", "limit"))
    axis = _numbers("1 0 0" if axis is None else axis.get("xyz", "1 0 0"), name)
    attributes = {} if origin is None else origin.attrib
    kind = element.get("type", "")
    bounded = limit is not None and kind in ("revolute", "prismatic")
    return _Joint(
        name=name,
        kind=kind,
        parent=parent.get("link", ""),
        child=child.get("link", ""),
        rotation=euler_matrix(_numbers(attributes.get("rpy", "0 0 0"), name)),
        translation=_numbers(attributes.get("xyz", "0 0 0"), name),
        axis=axis / np.linalg.norm(axis),
        limits=(float(limit.get("lower", 0)), float(limit.get("upper", 0))) if bounded else None,
    )


def _numbers(text: str, joint: str) -> np.ndarray:
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        values = np.empty(0)
    if values.shape != (3,) or not np.all(np.isfinite(values)):
        raise KinematicsError(f"joint '{joint}' of the robot's description has '{text}' for xyz")
    return values


def _tip(joints: list[_Joint], by_name: dict[str, _Joint], names: Sequence[str]) -> str:
    parents = {joint.parent for joint in joints}
    by_parent: dict[str, list[_Joint]] = {}
    for joint in joints:
        by_parent.setdefault(joint.parent, []).append(joint)
    # The last joint is the one that no other named joint hangs below.
    last = [
        by_name[name].child
        for name in names
        if not any(_below(by_name[other].parent, by_name[name].child, joints) for other in names)
    ]
    if len(last) == 1:
        link = last[0]
        while len(by_parent.get(link, [])) == 1 and by_parent[link][0].kind == "fixed":
            link = by_parent[link][0].child
        if link not in parents:
            return link
    raise KinematicsError(
        "the robot's description has no unique tool link below its last joint: name it in the "
        "parameter tool_link"
    )


def _below(link: str, ancestor: str, joints: list[_Joint]) -> bool:
    by_child = {joint.child: joint for joint in joints}
    while link != ancestor:
        if link not in by_child:
            return False
        link = by_child[link].parent
    return True
