"""Ground truth of one step, as the referee reads it from any world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class GroundTruth:
    """What the referee must know of one step.

    Attributes:
        step: control steps since the reset.
        tool_position: (3,) achieved tool point [m].
        object_poses: by name (7,): position [m] and quaternion xyzw.
        gripper_width: distance between the pads [m].
        gripper_command: executed opening command [0 closed .. 1 open].
        grasped_object: object touched by both pads; '' is none.
        contact_force: largest force, in the last period, of the arm on anything but the target, or
            of the target on the obstacle while it was held [N].
        contact_body: what was hit; '' is nothing.
    """

    step: int
    tool_position: np.ndarray
    object_poses: dict[str, np.ndarray]
    gripper_width: float
    gripper_command: float
    grasped_object: str
    contact_force: float
    contact_body: str
