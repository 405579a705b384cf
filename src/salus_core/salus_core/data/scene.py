"""Ground truth of a recorded scene, relative to the tool: targets to learn from, never inputs.

A predictor reads the policy's latent; whether it finds the scene's geometry there can be trained as
an auxiliary task and probed. Forecasts never see these numbers.
"""

from __future__ import annotations

import numpy as np

from salus_core.episode_store.reader import Episode

SCENE_NAMES: tuple[str, ...] = (
    *(f"target.{axis}" for axis in "xyz"),
    *(f"goal.{axis}" for axis in "xy"),
    *(f"neighbour.{axis}" for axis in "xyz"),
    "neighbour.distance",
    "grasped",
    "tool.z",
    "obstacle.x",
    "obstacle.y",
    "obstacle.top",
    "obstacle.present",
)
"""Columns: the target's and goal's centre and the nearest other object's, minus the tool point [m];
that object's distance [m]; whether the target is grasped [1]; height of the tool point [m]; the
obstacle's centre and its top minus the tool point [m], and whether there is one [1]."""

OBSTACLE = "obstacle"
"""Name of an object that stands on the table, z = 0, in the way: its top is twice as high as its
centre. Worlds that have none, or no object of this name, leave its columns open."""

SCENE_KEYS = ("object_pose", "grasped_object")
"""Arrays of a run that it is made of."""

_REACH = 2.0  # an object further away has fallen out of the world [m]


def scene_of(episode: Episode, tool: np.ndarray) -> np.ndarray:
    """Ground truth of an episode's steps.

    Args:
        episode: with object poses recorded.
        tool: (T, 3) positions of the tool point [m].

    Returns:
        (T, S) float32 in the order of SCENE_NAMES; NaN where the run does not know it.
    """
    names = list(episode.run.attributes.get("object_names", ()))
    found = np.full((len(episode), len(SCENE_NAMES)), np.nan, np.float32)
    found[:, 3:5] = np.asarray(episode.goal_pose[:2]) - tool[:, :2]
    found[:, 10] = tool[:, 2]
    if episode.target_object not in names:
        return found
    target = names.index(episode.target_object)
    centres = episode["object_pose"][:, :, :3] - tool[:, None]
    centres[np.linalg.norm(centres, axis=2) > _REACH] = np.nan
    found[:, :3] = centres[:, target]
    found[:, 9] = episode["grasped_object"] == target
    apart = [target]
    if OBSTACLE in names:
        apart.append(names.index(OBSTACLE))
        obstacle = episode["object_pose"][:, apart[1], :3]
        found[:, 11:13] = obstacle[:, :2] - tool[:, :2]
        found[:, 13] = 2.0 * obstacle[:, 2] - tool[:, 2]
        seen = np.isfinite(centres).any(axis=(1, 2))  # else the world's message is missing
        found[:, 14] = np.where(seen, np.isfinite(obstacle[:, 2]), np.nan)
    others = np.delete(centres, apart, axis=1)
    distance = np.linalg.norm(others, axis=2)
    if distance.size and not np.isnan(distance).all():
        nearest = np.argmin(np.where(np.isnan(distance), np.inf, distance), axis=1)
        steps = np.arange(len(others))
        found[:, 5:8] = others[steps, nearest]
        found[:, 8] = distance[steps, nearest]
    return found
