# SPDX-License-Identifier: Apache-2.0
"""A policy for the toy task: `policy:=policy:BarPolicy checkpoint:=ROBOT`.

Three members look for the green bars, each with its own sense of brightness, and move there. In
glare they disagree. The checkpoint is a folder with one file, made by `python policy.py ROBOT`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from robots import HEIGHT, PACE, RATE, ROBOTS

from salus_core.actions import TOOL_MOTION, ActionSpec
from salus_policies.backends.base import (
    BackendError,
    PolicyBackend,
    PolicyInfo,
    PolicyOutput,
    hash_files,
)

SIZE = (96, 128)
MEMBERS, CHUNK = 3, 4
_POWERS = (1.5, 3.0, 5.0)
FILE = "bars.json"


def _halves(picture: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Means over the upper and the lower half of each row: (rows, width, 3) each."""
    band = len(picture) * (HEIGHT // rows) / HEIGHT
    found = []
    for low, high in ((0.1, 0.4), (0.6, 0.9)):
        edges = [(int(band * (n + low)), int(np.ceil(band * (n + high)))) for n in range(rows)]
        found.append(np.stack([picture[a:b].mean(axis=0) for a, b in edges]))
    return found[0], found[1]


class BarPolicy(PolicyBackend):
    """See the module."""

    def __init__(self, checkpoint: Path, name: str):
        self._robot = ROBOTS[name]
        low, high = self._robot.low, self._robot.high
        step = PACE / RATE * (high - low)
        if self._robot.by_tool:
            action = replace(TOOL_MOTION, scale=(*step.tolist(), 1.0))
        else:
            names = self._robot.joints
            action = ActionSpec.of(
                names,
                ("rad",) * len(names),
                ("joint_position",) * len(names),
                tuple(step.tolist()),
            )
        self._step = step
        self._info = PolicyInfo(
            backend="bars",
            policy=str(checkpoint),
            weights_hash=hash_files(checkpoint, [checkpoint / FILE]),
            cameras={camera: SIZE for camera in self._robot.cameras},
            action=action,
            control_period=1.0 / RATE,
            members=MEMBERS,
            member_kind="checkpoints",
            embedding_size=MEMBERS * 3 * len(low),
            chunk_length=CHUNK,
            has_distribution=True,
        )

    @classmethod
    def load(cls, checkpoint: str, options: Any) -> BarPolicy:
        """Read the checkpoint's one file."""
        path = Path(checkpoint) / FILE
        if not path.is_file():
            raise BackendError(f"{path} is missing: make it with `python policy.py ROBOT`")
        return cls(Path(checkpoint), json.loads(path.read_text())["robot"])

    @property
    def info(self) -> PolicyInfo:
        """See PolicyBackend."""
        return self._info

    def bind(self, robot: Any) -> None:
        """See PolicyBackend."""
        if tuple(robot.joint_names) != self._robot.joints:
            raise BackendError(f"made for the joints {', '.join(self._robot.joints)}")

    def reset(self) -> None:
        """See PolicyBackend."""

    def act(self, observation: Any) -> PolicyOutput:
        """Look for each bar in each picture, and step toward it."""
        rows = len(self._robot.low)
        place = (np.arange(SIZE[1]) + 0.5) / SIZE[1]
        latent, wanted, here = [], [], []
        for power in _POWERS:
            found = []
            for picture in observation.images.values():
                upper, lower = _halves(picture.astype(np.float32), rows)
                green = np.clip(upper[..., 1] - upper[..., 0], 1.0, None) ** power
                white = np.clip(lower[..., 0] - 40.0, 0.01, None) ** power
                middle = (green * place).sum(1) / green.sum(1)
                spread = np.sqrt((green * (place - middle[:, None]) ** 2).sum(1) / green.sum(1))
                found.append((middle, spread, (white * place).sum(1) / white.sum(1)))
            middle, spread, at = np.mean(found, axis=0)
            latent += [middle, spread, at]
            edge = 20.0 / 640.0  # half a bar
            wanted.append((middle - edge) / (1.0 - 2.0 * edge))
            here.append((at - edge) / (1.0 - 2.0 * edge))
        span = self._robot.high - self._robot.low
        away = (np.array(wanted) - np.array(here)) * span
        first = np.clip(0.25 * away, -self._step, self._step)
        chunks = np.stack([(n + 1) * first for n in range(CHUNK)], axis=1)
        if self._robot.by_tool:
            chunks = np.concatenate([chunks, np.ones((MEMBERS, CHUNK, 1))], axis=-1)
        else:
            chunks = chunks + np.asarray(observation.joint_positions)[:rows]
        scale = np.array(self._info.action_scale)
        return PolicyOutput(
            action=chunks[:, 0].mean(axis=0),
            member_means=chunks[:, 0],
            member_stds=np.broadcast_to(0.1 * scale, (MEMBERS, len(scale))).copy(),
            chunks=chunks,
            latent=np.concatenate(latent).astype(np.float32),
        )


if __name__ == "__main__":
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps({"robot": sys.argv[1]}) + "\n")
    print(f"checkpoint: {folder}")
