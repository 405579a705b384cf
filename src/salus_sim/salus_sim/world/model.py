# SPDX-License-Identifier: Apache-2.0
"""The MuJoCo model of the scene: a Panda of primitive shapes, table, cubes, obstacle, cameras.

Meshes are left out on purpose: they are expensive for a software renderer.
The chain's offsets are the manufacturer's Denavit-Hartenberg figures.
"""

from __future__ import annotations

import mujoco
import numpy as np

from salus_sim.scene import Scene

# Parent offset and quaternion (wxyz) of each link, then its capsules (from, to, radius).
_S = 0.7071067811865476
_LINKS = (
    ((0, 0, 0.333), (1, 0, 0, 0), [((0, 0, -0.19), (0, 0, -0.03), 0.055)]),
    ((0, 0, 0), (_S, -_S, 0, 0), [((0, 0, -0.05), (0, 0, 0.05), 0.056)]),
    (
        (0, -0.316, 0),
        (_S, _S, 0, 0),
        [((0, 0, -0.22), (0, 0, -0.06), 0.052), ((0.02, 0, 0), (0.07, 0, 0), 0.05)],
    ),
    (
        (0.0825, 0, 0),
        (_S, _S, 0, 0),
        [((0, 0, -0.04), (0, 0, 0.04), 0.05), ((-0.03, 0.03, 0), (-0.07, 0.1, 0), 0.048)],
    ),
    (
        (-0.0825, 0.384, 0),
        (_S, -_S, 0, 0),
        [((0, 0, -0.26), (0, 0.02, -0.12), 0.05), ((0, 0.04, -0.1), (0, 0, 0), 0.042)],
    ),
    (
        (0, 0, 0),
        (_S, _S, 0, 0),
        [((0, 0, -0.04), (0, 0, 0.03), 0.045), ((0.02, 0, 0), (0.07, 0, 0), 0.042)],
    ),
    ((0.088, 0, 0), (_S, _S, 0, 0), [((0, 0, 0.0), (0, 0, 0.07), 0.042)]),
)
_ARM_COLOR = "0.93 0.93 0.95 1"
_JOINT_COLOR = "0.25 0.27 0.30 1"
_HIDDEN_DEPTH = -3.0  # where absent objects and obstacles wait [m]

ARM_BITS, OBJECT_BITS, WORLD_BITS = 1, 2, 4


def build_model(scene: Scene) -> mujoco.MjModel:
    """Compile the scene. Everything a scenario changes is set later on the compiled model."""
    control, cameras = scene.control, scene.cameras
    step = scene.control_period / control["substeps"]
    xml = f"""
<mujoco model="salus">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{step!r}" integrator="implicitfast" cone="elliptic" impratio="10"/>
  <statistic extent="1"/>
  <visual>
    <global offwidth="{cameras["width"]}" offheight="{cameras["height"]}"/>
    <quality shadowsize="0" offsamples="0" numslices="16" numstacks="10"/>
    <headlight ambient="0.35 0.35 0.35" diffuse="0.25 0.25 0.25" specular="0 0 0"/>
    <map znear="0.01" zfar="10"/>
  </visual>
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.62 0.70 0.80" rgb2="0.30 0.34 0.40"
             width="64" height="384"/>
  </asset>
  <default>
    <geom solref="0.008 1" solimp="0.95 0.99 0.001"/>
    <default class="arm">
      <geom type="capsule" mass="0" contype="{ARM_BITS}" conaffinity="{OBJECT_BITS | WORLD_BITS}"
            rgba="{_ARM_COLOR}"/>
    </default>
  </default>
  <worldbody>
    <light name="lamp" pos="0.5 0 1.6" dir="0 0 -1" directional="false" castshadow="false"
           diffuse="0.6 0.6 0.6" specular="0.1 0.1 0.1"/>
    <geom name="table" type="box" size="0.55 0.75 0.25" pos="0.4 0 -0.25" rgba="0.75 0.73 0.70 1"
          contype="{WORLD_BITS}" conaffinity="{ARM_BITS | OBJECT_BITS}" friction="1 0.005 0.0001"/>
    <geom name="goal" type="cylinder" size="{scene.goal["radius"]} 0.0008" pos="0.5 0.2 0.0008"
          rgba="{_rgb(scene.goal["color"])}" contype="0" conaffinity="0"/>
    <geom name="goal_ring" type="cylinder" size="{scene.goal["radius"] * 1.25} 0.0005"
          pos="0.5 0.2 0.0005" rgba="0.15 0.15 0.18 1" contype="0" conaffinity="0"/>
    <body name="obstacle" mocap="true" pos="0 0 {_HIDDEN_DEPTH}">
      <geom name="obstacle" type="box" size="0.02 0.05 0.1" rgba="{_rgb(scene.obstacle["color"])}"
            contype="{WORLD_BITS}" conaffinity="{ARM_BITS | OBJECT_BITS}"/>
    </body>
    <body name="tray" mocap="true" pos="0 0 {_HIDDEN_DEPTH}">{_tray(scene)}</body>
    {"".join(_cube(name, scene) for name in scene.objects["names"])}
    <camera name="front" {_look_at(cameras["front"])}/>
    <camera name="side" {_look_at(cameras["side"])}/>
    <body name="base">
      <geom type="cylinder" size="0.07 0.06" pos="-0.03 0 0.06" mass="0" rgba="{_JOINT_COLOR}"
            contype="0" conaffinity="0"/>
      {_arm(scene)}
    </body>
  </worldbody>
  <contact>
    <exclude body1="finger_left" body2="finger_right"/>
  </contact>
  <actuator>{_servos(scene)}</actuator>
</mujoco>"""
    return mujoco.MjModel.from_xml_string(xml)


def hidden_position(index: int) -> np.ndarray:
    """Where the absent object with this index waits: (3,) [m]."""
    return np.array([2.0 + 0.2 * index, 0.0, _HIDDEN_DEPTH])


def _rgb(color: list[float]) -> str:
    return " ".join(str(value) for value in [*color, 1.0])


def _tray(scene: Scene) -> str:
    tray = scene.tray
    half, wall, high = tray["half_size"], tray["wall_thickness"] / 2, tray["wall_height"] / 2
    outer, middle = half + 2 * wall, half + wall
    color = _rgb(tray["color"])
    floor = (
        f'<geom name="tray" type="box" size="{half} {half} 0.0006" pos="0 0 0.0006" '
        f'rgba="{color}" contype="0" conaffinity="0"/>'
    )
    walls = (
        (wall, outer, middle, 0),
        (wall, outer, -middle, 0),
        (half, wall, 0, middle),
        (half, wall, 0, -middle),
    )
    return floor + "".join(
        f'<geom name="tray_wall_{i}" type="box" size="{x} {y} {high}" pos="{px} {py} {high}" '
        f'rgba="{color}" contype="{WORLD_BITS}" conaffinity="{ARM_BITS | OBJECT_BITS}"/>'
        for i, (x, y, px, py) in enumerate(walls)
    )


def _cube(name: str, scene: Scene) -> str:
    friction = scene.objects["friction"]
    return f"""
    <body name="{name}" pos="0 0 {_HIDDEN_DEPTH}">
      <freejoint name="{name}"/>
      <geom name="{name}" type="box" size="0.02 0.02 0.02" density="{scene.objects["density"]}"
            condim="4" friction="{friction} 0.005 0.0001" priority="1"
            contype="{OBJECT_BITS}" conaffinity="{ARM_BITS | OBJECT_BITS | WORLD_BITS}"
            rgba="{_rgb(scene.objects["colors"][name])}"/>
    </body>"""


def _look_at(camera: dict) -> str:
    position, target = np.array(camera["position"]), np.array(camera["target"])
    backward = position - target
    right = np.cross([0.0, 0.0, 1.0], backward)
    up = np.cross(backward, right)
    axes = " ".join(repr(float(v)) for v in [*right, *up])
    place = " ".join(str(v) for v in position)
    return f'pos="{place}" xyaxes="{axes}" fovy="{float(np.degrees(camera["fovy"]))!r}"'


def _arm(scene: Scene) -> str:
    arm, wrist = scene.arm, scene.cameras["wrist"]
    lines, closing = [], ""
    for i, (position, quaternion, capsules) in enumerate(_LINKS):
        joint = arm["joint_names"][i]
        lines.append(
            f'<body name="link{i + 1}" pos="{_join(position)}" quat="{_join(quaternion)}" '
            f'gravcomp="1"><joint name="{joint}" axis="0 0 1" '
            f'range="{arm["joint_lower"][i]} {arm["joint_upper"][i]}" '
            f'armature="{arm["armature"]}" damping="{arm["joint_damping"]}"/>'
            f'<inertial pos="0 0 0" mass="{2.5 if i < 4 else 1.2}" '
            f'diaginertia="0.02 0.02 0.02"/>'
        )
        for number, (start, end, radius) in enumerate(capsules):
            color = _JOINT_COLOR if number else _ARM_COLOR
            lines.append(
                f'<geom name="link{i + 1}_{number}" class="arm" size="{radius}" '
                f'fromto="{_join(start)} {_join(end)}" rgba="{color}"/>'
            )
        closing += "</body>"
    tool, half = arm["tool_offset"], 0.012
    pad_z = tool - 0.004  # the pads' lower edge is below the tool point by half - 4 mm
    cosine, sine = np.cos(wrist["tilt"]), np.sin(wrist["tilt"])
    # Looks along +z of the hand, tilted towards the tool point.
    wrist_axes = _join([0.0, 1.0, 0.0, cosine, 0.0, sine])
    lines.append(f"""
      <body name="hand" pos="0 0 0.107" quat="0.9238795325112867 0 0 -0.3826834323650898"
            gravcomp="1">
        <inertial pos="0 0 0.03" mass="0.7" diaginertia="0.003 0.003 0.003"/>
        <geom name="palm" class="arm" type="box" size="0.022 0.1 0.022" pos="0 0 0.03"/>
        <geom name="camera_body" class="arm" type="box" size="0.012 0.02 0.01" pos="0.04 0 0.02"
              contype="0" conaffinity="0" rgba="{_JOINT_COLOR}"/>
        <site name="tool" pos="0 0 {tool}" size="0.003" rgba="0 0 0 0"/>
        <camera name="wrist" pos="{_join(wrist["position"])}" xyaxes="{wrist_axes}"
                fovy="{float(np.degrees(wrist["fovy"]))!r}"/>""")
    for name, sign, joint in zip(
        ("finger_left", "finger_right"), (1, -1), arm["finger_names"], strict=True
    ):
        lines.append(f"""
        <body name="{name}" pos="0 0 0.0584" gravcomp="1">
          <joint name="{joint}" type="slide" axis="0 {sign} 0" range="0 {arm["finger_travel"]}"
                 armature="0.05" damping="5"/>
          <inertial pos="0 0 0.02" mass="0.05" diaginertia="1e-4 1e-4 1e-4"/>
          <geom name="{name}" class="arm" type="box" size="0.009 0.006 0.014"
                pos="0 {sign * 0.011} 0.012" rgba="{_JOINT_COLOR}"/>
          <geom name="{name}_pad" class="arm" type="box" size="0.009 0.005 {half}" condim="4"
                pos="0 {sign * 0.005} {pad_z - 0.0584 - 0.004}" friction="1 0.005 0.0001"
                rgba="0.1 0.1 0.1 1"/>
        </body>""")
    return "\n".join(lines) + "</body>" + closing


def _servos(scene: Scene) -> str:
    arm = scene.arm
    lines = []
    for i, joint in enumerate(arm["joint_names"]):
        gain, damping, limit = arm["servo_gain"][i], arm["servo_damping"][i], arm["effort_limit"][i]
        lines.append(
            f'<general name="{joint}" joint="{joint}" gainprm="{gain}" biastype="affine" '
            f'biasprm="0 -{gain} -{damping}" forcerange="-{limit} {limit}"/>'
        )
    for joint in arm["finger_names"]:
        gain, damping, limit = arm["finger_gain"], arm["finger_damping"], arm["finger_force"]
        lines.append(
            f'<general name="{joint}" joint="{joint}" gainprm="{gain}" biastype="affine" '
            f'biasprm="0 -{gain} -{damping}" forcerange="-{limit} {limit}"/>'
        )
    return "\n".join(lines)


def _join(values) -> str:
    return " ".join(repr(float(v)) for v in values)
