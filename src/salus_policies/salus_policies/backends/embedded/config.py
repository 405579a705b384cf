# SPDX-License-Identifier: Apache-2.0
"""Configuration of one member of the embedded policy."""

from __future__ import annotations

import reprlib
from dataclasses import asdict, dataclass, field
from typing import Any

from salus_core.predictors.settings import build

MAX_NAMES = 512
JOINTS = 7
"""Of the arm that the members are taught on."""
PROPRIOCEPTION = (
    *("tool_x", "tool_y", "tool_z"),
    *("tool_qx", "tool_qy", "tool_qz", "tool_qw"),
    *("gripper_width", "gripper_speed"),
    *(f"joint_{i}" for i in range(1, JOINTS + 1)),
)
SCENE_TARGETS = {  # what the auxiliary head reads off the latent, and the unit of its error
    **{"target_x": 0.1, "target_y": 0.1, "target_z": 0.1},  # [m]
    **{"goal_x": 0.1, "goal_y": 0.1, "goal_z": 0.1},
    **{"obstacle_present": 1.0, "obstacle_x": 0.1, "obstacle_y": 0.1, "obstacle_height": 0.1},
    **{"other_x": 0.1, "other_y": 0.1},  # of the object nearest to the tool that is not the target
    # Within reach and in the hand: target minus tool across the fingers, along their motion, up
    **{"grasp_across": 0.01, "grasp_along": 0.01, "grasp_up": 0.01},
    "half_size": 0.004,  # of the target
    "enclosed": 0.5,  # within reach: the target is between the fingers, so that closing grasps it
    "clearance": 0.05,  # between tool and obstacle, up to 15 cm
    "load_gap": 0.02,  # from the obstacle's top up to what is lowest of fingers and load
    **{"target_held": 1.0, "target_slippery": 1.0, "progress": 1.0},
}
SCENE_POINTS = (
    *("target", "goal", "obstacle"),
    *("left_fingertip", "right_fingertip"),
    *("front_left_corner", "front_right_corner", "back_left_corner", "back_right_corner"),
)
"""What the first keypoints of every camera are taught to find; the others are free.

Fingertips and the corners of the target's top face, in the hand's frame, are taught to the wrist's
camera only, and the corners only near the hand: together they tell where the target is between the
fingers, wherever the camera sits."""
VOCABULARY = (
    *("<unk>", "pick", "up", "the", "cube", "and", "place", "it", "on", "goal", "put", "white"),
    *("disc", "move", "block", "to", "take", "set", "down", "red", "green", "blue", "yellow"),
    *("in", "into", "tray", "lay", "stack", "top", "of", "push", "slide", "onto", "aside"),
    "shove",
)
COLORS = ("red", "green", "blue", "yellow")


@dataclass
class EmbeddedConfig:
    """Shapes and units of one member.

    Attributes:
        cameras: names, in the order of the encoders.
        windows: what is seen of the images of the first cameras: left and upper border and edge,
            as shares of the image's edge; of the others, all.
        image_size: edge of the square views after area averaging [pixel].
        chunk_length: control steps per predicted action chunk.
        latent_size: of the latent h_t.
        action_temperature: by how many predicted standard deviations executed actions stray; 0: the
            mean is executed.
        action_scale: (7,) one normalised action unit in m, rad and opening.
        proprioception: names of the inputs, in order; see `proprioception_vector`.
        vocabulary: words; the first one stands for every other word.
        scene_targets: names of what the auxiliary head predicts.
        proprioception_mean, proprioception_std: normalisation of the inputs.
        control_period: seconds per step.
    """

    cameras: tuple[str, ...] = ("front", "wrist")
    windows: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 1.0), (0.125, 0.25, 0.75))
    image_size: int = 64
    chunk_length: int = 8
    latent_size: int = 128
    action_temperature: float = 0.0
    action_scale: tuple[float, ...] = (0.014, 0.014, 0.014, 0.1, 0.1, 0.1, 1.0)
    proprioception: tuple[str, ...] = PROPRIOCEPTION
    vocabulary: tuple[str, ...] = VOCABULARY
    scene_targets: tuple[str, ...] = tuple(SCENE_TARGETS)
    proprioception_mean: tuple[float, ...] = field(default=(0.0,) * len(PROPRIOCEPTION))
    proprioception_std: tuple[float, ...] = field(default=(1.0,) * len(PROPRIOCEPTION))
    control_period: float = 1.0 / 30.0

    def window(self, camera: str) -> tuple[float, float, float]:
        """Left and upper border and edge of what is seen of a camera's image."""
        index = self.cameras.index(camera)
        return self.windows[index] if index < len(self.windows) else (0.0, 0.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EmbeddedConfig:
        """The inverse of `to_dict`.

        Raises:
            ValueError: an entry is unknown, of another type, or out of its bounds; names it.
        """
        config = build(cls, values, "config")
        for name, low, high in (
            ("image_size", 8, 1024),
            ("chunk_length", 1, 1024),
            ("latent_size", 1, 16384),
            ("control_period", 1e-4, 3600.0),
            ("action_temperature", 0.0, 1e3),
        ):
            if not low <= getattr(config, name) <= high:
                found = reprlib.repr(getattr(config, name))  # may have thousands of digits
                raise ValueError(f"config.{name} must lie between {low} and {high}, is {found}")
        for name in ("cameras", "proprioception", "vocabulary", "scene_targets"):
            if not 1 <= len(getattr(config, name)) <= MAX_NAMES:
                raise ValueError(f"config.{name} must hold 1 to {MAX_NAMES} names")
        inputs = len(config.proprioception)
        for name, size, low in (
            ("proprioception_mean", inputs, -1e6),
            ("proprioception_std", inputs, 1e-9),
            ("action_scale", 7, 1e-9),
        ):
            given = getattr(config, name)
            if len(given) != size or not all(low <= value <= 1e6 for value in given):
                raise ValueError(f"config.{name} must hold {size} numbers between {low} and 1e6")
        for window in config.windows:
            left, upper, edge = window
            if not (left >= 0 and upper >= 0 and edge > 0 and max(left, upper) + edge <= 1):
                raise ValueError(f"config.windows: {window} does not lie within the image")
        return config
