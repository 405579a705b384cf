# SPDX-License-Identifier: Apache-2.0
"""A toy task: bring each number of the robot to where its green bar is; glare hides the bars."""

from __future__ import annotations

import numpy as np
from robots import HEIGHT, PACE, WIDTH, Robot

NEAR = 0.06
"""Success: every number this near to its bar, in units of its range, when the robot has settled."""
SETTLED = 0.5
"""The robot has settled once it has moved less than `_STILL` for so long [s]."""
_STILL = 0.01
LONGEST = 6.0
"""An episode that has not ended by then has timed out [s]."""


class Task:
    """The scene and the robot in it; free of ROS.

    Args:
        robot: that moves.
        seed: of the episodes.
    """

    def __init__(self, robot: Robot, seed: int):
        self._robot = robot
        self._rng = np.random.default_rng(seed)
        self._span = robot.high - robot.low
        self.state = 0.5 * (robot.low + robot.high)
        self.velocity = np.zeros(len(self.state))
        self.begin()

    def begin(self) -> None:
        """Set the scene for another episode."""
        rng = self._rng
        self.state = self._robot.low + self._span * rng.uniform(0.4, 0.6, len(self._span))
        self.target = rng.uniform(0.15, 0.85, len(self._span))
        self.glare = rng.uniform(0.1, 1.0) if rng.uniform() < 0.45 else 0.0
        self._glare_at = rng.uniform(0.0, 1.0, 3)
        self._past: list[tuple[float, np.ndarray]] = []
        self.velocity[:] = 0.0

    def move(self, velocity: np.ndarray, seconds: float) -> None:
        """Move by a velocity (n,) per second, at the robot's pace at most."""
        self.velocity = np.clip(velocity, -PACE * self._span, PACE * self._span)
        self.state = np.clip(
            self.state + self.velocity * seconds, self._robot.low, self._robot.high
        )

    def toward(self, goal: np.ndarray, seconds: float) -> None:
        """Move toward a goal (n,)."""
        self.move((np.asarray(goal) - self.state) / max(seconds, 1e-6), seconds)

    def outcome(self, elapsed: float) -> str:
        """What a success detector says: `success`, `fail TYPE`, or nothing yet."""
        now = (self.state - self._robot.low) / self._span
        self._past = [(t, s) for t, s in self._past if t >= elapsed - SETTLED] + [(elapsed, now)]
        first, before = self._past[0]
        watched = elapsed > 2.0 and elapsed - first > 0.9 * SETTLED
        if watched and np.abs(now - before).max() < _STILL:
            near = np.abs(now - self.target).max() < NEAR
            return "success" if near else "fail missed_grasp"
        return "fail timeout" if elapsed > LONGEST else ""

    def picture(self, camera: int) -> np.ndarray:
        """(HEIGHT, WIDTH, 3) uint8: a row for each number, green at its bar, white where it is."""
        rows = len(self.target)
        picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        now = (self.state - self._robot.low) / self._span
        height = HEIGHT // rows
        for row in range(rows):
            part = picture[row * height : (row + 1) * height]
            for place, colour in ((self.target[row], (30, 200, 40)), (now[row], (230, 230, 230))):
                at = int(place * (WIDTH - 40))
                top = 0 if colour[0] == 30 else height // 2
                part[top : top + height // 2, at : at + 40] = colour
        if self.glare:
            lights = np.exp(
                -(((np.arange(WIDTH) / WIDTH)[:, None] - self._glare_at) ** 2) / 0.004
            ).sum(axis=1)
            noise = self._rng.uniform(0.5, 1.5, (HEIGHT, 1)) * lights * 190.0 * self.glare
            green = picture[..., 1].astype(np.float32) + noise * (1.0 + 0.1 * camera)
            picture[..., 1] = np.minimum(green, 255.0).astype(np.uint8)
        return picture
