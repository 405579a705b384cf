# SPDX-License-Identifier: Apache-2.0
"""The scene as shapes and poses, for a simulator to mirror.

Read off the compiled model of the embedded world, so that both worlds have the same table, goal,
tray, obstacle, objects and cameras, and whatever the scene gains later.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from salus_sim.scene import Scene
from salus_sim.world.mujoco_world import MujocoWorld

BOX, CYLINDER = "box", "cylinder"
DYNAMIC, MOVED, FIXED = "dynamic", "moved", "fixed"
_KINDS = {mujoco.mjtGeom.mjGEOM_BOX: BOX, mujoco.mjtGeom.mjGEOM_CYLINDER: CYLINDER}
_ARM_ROOT = "base"


@dataclass(frozen=True)
class Shape:
    """One shape that is no part of the arm.

    Attributes:
        name: of the shape, as contacts name it.
        kind: BOX or CYLINDER (along z).
        role: DYNAMIC moves freely, MOVED is put in its place at every reset, FIXED never moves.
        collides: whether anything can touch it; the others are for the eye.
    """

    name: str
    kind: str
    role: str
    collides: bool


@dataclass
class ShapeState:
    """A shape at the start of an episode.

    Attributes:
        position: (3,) of its centre [m].
        quaternion: (4,) wxyz.
        size: (3,) full edge lengths, or twice the radius twice and the height [m].
        color: (3,) rgb, 0 to 1.
        friction: sliding coefficient [1].
        mass: of a DYNAMIC shape [kg], else 0.
        present: False for an object that waits out of sight; gravity leaves it alone.
    """

    position: np.ndarray
    quaternion: np.ndarray
    size: np.ndarray
    color: np.ndarray
    friction: float
    mass: float
    present: bool


@dataclass
class CameraView:
    """A pinhole camera.

    Attributes:
        position: (3,) in the frame of the world, or of the hand for the wrist's [m].
        quaternion: (4,) wxyz; it looks along -z, up is +y.
        fovy: vertical opening angle [rad].
    """

    position: np.ndarray
    quaternion: np.ndarray
    fovy: float


@dataclass
class Placement:
    """All that an episode starts from.

    Attributes:
        joints: (9,) arm and fingers, in the interface's order [rad, m].
        shapes: by name.
        cameras: by name.
        lamp: (3,) position of the lamp [m].
        pad_friction: of the finger pads [1].
    """

    joints: np.ndarray
    shapes: dict[str, ShapeState]
    cameras: dict[str, CameraView]
    lamp: np.ndarray
    pad_friction: float


@dataclass
class Stage:
    """What is built once.

    Attributes:
        period: control period [s].
        substeps: physics steps within it.
        joint_names: in the interface's order.
        drives: by name (9,): stiffness, damping, effort, armature.
        width, height: of images [px].
        shapes: all that is no part of the arm.
        start: a placement to build it with.
    """

    period: float
    substeps: int
    joint_names: list[str]
    drives: dict[str, np.ndarray]
    width: int
    height: int
    shapes: list[Shape]
    start: Placement


def describe_stage(world: MujocoWorld) -> Stage:
    """The stage of the embedded world after a reset."""
    scene = world.scene
    return Stage(
        period=scene.control_period,
        substeps=int(scene.control["substeps"]),
        joint_names=[*scene.arm["joint_names"], *scene.arm["finger_names"]],
        drives=arm_drives(scene),
        width=int(scene.cameras["width"]),
        height=int(scene.cameras["height"]),
        shapes=shapes_of(world.model),
        start=read_placement(world),
    )


def arm_drives(scene: Scene) -> dict[str, np.ndarray]:
    """Drive values of the nine joints, each (9,): stiffness, damping, effort, armature."""
    arm = scene.arm

    def joints(key: str, finger: float) -> np.ndarray:
        return np.array([*arm[key], finger, finger], dtype=float)

    return {
        "stiffness": joints("servo_gain", arm["finger_gain"]),
        "damping": joints("servo_damping", arm["finger_damping"]),
        "effort": joints("effort_limit", arm["finger_force"]),
        "armature": np.full(9, float(arm["armature"])),
    }


def shapes_of(model: mujoco.MjModel) -> list[Shape]:
    """Every shape of the model outside the arm.

    Raises:
        ValueError: a shape has a kind that simulators are not asked to make, or no name.
    """
    found = []
    for geom in _geoms(model):
        name, body = model.geom(geom).name, int(model.geom_bodyid[geom])
        kind = _KINDS.get(int(model.geom_type[geom]))
        if kind is None or not name:
            raise ValueError(f"shape {name or geom!r}: only named boxes and cylinders are mirrored")
        collides = bool(model.geom_contype[geom] or model.geom_conaffinity[geom])
        if model.body_dofnum[body] == 6:
            role, collides = DYNAMIC, True  # absent ones collide with nothing for now
        elif body == 0 and collides:
            role = FIXED
        else:
            role = MOVED
        found.append(Shape(name, kind, role, collides))
    return found


def read_placement(world: MujocoWorld) -> Placement:
    """Where the embedded world has just put everything, after its reset."""
    model, data, scene = world.model, world.data, world.scene
    travel = scene.arm["finger_travel"]
    cameras = {}
    for name in world.cameras:
        camera = model.camera(name)
        fovy = float(scene.cameras[name]["fovy"])
        cameras[name] = CameraView(camera.pos.copy(), camera.quat.copy(), fovy)
    return Placement(
        joints=np.array([*world.scenario.joints, travel, travel]),
        shapes={model.geom(geom).name: _state(model, data, geom) for geom in _geoms(model)},
        cameras=cameras,
        lamp=model.light("lamp").pos.copy(),
        pad_friction=float(model.geom("finger_left_pad").friction[0]),
    )


def _geoms(model: mujoco.MjModel) -> list[int]:
    arm = model.body(_ARM_ROOT).id
    return [g for g in range(model.ngeom) if model.body_rootid[model.geom_bodyid[g]] != arm]


def _state(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> ShapeState:
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, data.geom_xmat[geom])
    body = int(model.geom_bodyid[geom])
    dynamic = model.body_dofnum[body] == 6
    size = model.geom_size[geom].copy()
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CYLINDER:
        size = np.array([size[0], size[0], size[1]])
    return ShapeState(
        position=data.geom_xpos[geom].copy(),
        quaternion=quaternion,
        size=2.0 * size,
        color=np.clip(model.geom_rgba[geom, :3], 0.0, 1.0).astype(float),
        friction=float(model.geom_friction[geom, 0]),
        mass=float(model.body_mass[body]) if dynamic else 0.0,
        present=not dynamic or bool(model.geom_contype[geom]),
    )
