# SPDX-License-Identifier: Apache-2.0
"""What the bridge asks of a simulator, and the values that pass between them.

Isaac Sim is one implementation; tests play it with another, as it needs a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from salus_isaac.graph import Graph
from salus_isaac.stage import Placement, Stage

FINGER_LINKS = ("panda_leftfinger", "panda_rightfinger")
LINKS = (*(f"panda_link{i}" for i in range(1, 8)), "panda_hand", *FINGER_LINKS)
"""Links of the arm whose contacts are read."""


@dataclass
class Effects:
    """What faults and the scenario do during one control period.

    Attributes:
        arm_force: (3,) on the hand, world frame [N].
        object_force: (3,) on the target [N].
        target: name of the target object.
        friction: of the target [1].
        light: factor on every light's intensity [1].
    """

    arm_force: np.ndarray
    object_force: np.ndarray
    target: str
    friction: float
    light: float


@dataclass
class Readings:
    """The simulator's ground truth after a control period.

    Attributes:
        object_poses: by name (7,): position [m] and quaternion xyzw, of every object.
        hand_pose: (7,) of the hand's frame.
        contacts: largest force of the period by (link or object, shape) [N]; pairs without contact
            may lack.
    """

    object_poses: dict[str, np.ndarray]
    hand_pose: np.ndarray
    contacts: dict[tuple[str, str], float]


class SimulatorError(RuntimeError):
    """The simulator cannot start or continue; the message says what to do."""


class Simulator(Protocol):
    """A simulator with a Franka, steered step by step. Its images and joints come over ROS."""

    def open(self, graph: Graph, stage: Stage) -> None:
        """Build the stage and the graph, and start the timeline.

        Raises:
            SimulatorError: something is missing.
        """

    def place(self, placement: Placement) -> None:
        """Set everything that an episode starts from; the timeline goes on."""

    def command(self, targets: np.ndarray) -> None:
        """Set position targets of all nine joints, in the interface's order [rad, m].

        The next period approaches them evenly: targets that jump once a period shake the hand.
        """

    def apply(self, effects: Effects) -> None:
        """Let these effects act during the following periods."""

    def advance(self) -> None:
        """Pass one control period: physics, then graph and images of its end."""

    def read(self) -> Readings:
        """Ground truth of now, contacts of the last period."""

    def idle(self) -> bool:
        """Keep a window alive without passing time; False once the user has closed it."""
