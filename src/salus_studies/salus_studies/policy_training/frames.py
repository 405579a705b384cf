# SPDX-License-Identifier: Apache-2.0
"""What behaviour cloning learns from: steps with the expert's actions."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass
class Frames:
    """Steps of one or many episodes; the first dimension of every array is the step.

    Attributes:
        images: (N, C, S, S, 3) uint8.
        proprioception: (N, P) float32.
        tokens: (N, W) int64.
        chunk: (N, H, 7) float32, the expert's actions from here on, normalised action units.
        scene: (N, S) float32, named by `EmbeddedConfig.scene_targets`; NaN where not defined.
        points: (N, C, P, 2) float32, where `config.SCENE_POINTS` are in the images, rightwards and
            downwards from the centre, -1 to 1; NaN where not in the image.
        episode: (N,) int64, numbers of the episodes in rising order.
    """

    images: np.ndarray
    proprioception: np.ndarray
    tokens: np.ndarray
    chunk: np.ndarray
    scene: np.ndarray
    points: np.ndarray
    episode: np.ndarray

    def __len__(self) -> int:
        return len(self.episode)

    @classmethod
    def join(cls, parts: list[Frames]) -> Frames:
        """Lay parts end to end, giving every episode a number of its own."""
        offset, numbers = 0, []
        for part in parts:
            numbers.append(part.episode + offset)
            offset += int(part.episode.max()) + 1
        joined = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(cls)
            if f.name != "episode"
        }
        return cls(**joined, episode=np.concatenate(numbers))

    def save(self, path) -> None:
        """Write to a compressed NumPy archive."""
        np.savez_compressed(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path) -> Frames:
        """Read what `save` wrote."""
        with np.load(path) as archive:
            return cls(**{f.name: archive[f.name] for f in fields(cls)})


def chunks_of(actions: np.ndarray, length: int) -> np.ndarray:
    """Action chunks of one episode: (T, 7) to (T, length, 7); the last action is repeated."""
    rows = np.arange(len(actions))[:, None] + np.arange(length)
    return actions[np.minimum(rows, len(actions) - 1)]
