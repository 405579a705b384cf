# SPDX-License-Identifier: Apache-2.0
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
    "grasp.across",
    "grasp.along",
    "grasp.z",
    "enclosed",
    "held.across",
    "held.along",
    "held.z",
    "sinking",
    "near_goal.x",
    "near_goal.y",
    "near_obstacle.x",
    "near_obstacle.y",
    "gap",
    "target.half_size",
    "near_goal.up",
    "creep",
)
"""Columns: the target's and goal's centre and the nearest other object's, minus the tool point [m];
that object's distance [m]; whether the target is grasped [1]; height of the tool point [m]; the
obstacle's centre and its top minus the tool point [m], and whether there is one [1].

Then what decides near the tool, and only there: elsewhere it is NaN, as a linear map that has to
serve for the whole table is too coarse. Within reach of an empty hand the target's centre minus the
tool point across the fingers, along their motion, and upwards [m], and whether closing would grasp
it [1]. In the hand the same three, and how fast it has sunk over the last steps [m/s]. Near them,
the goal's and the obstacle's centre minus the tool point, and the height of the lowest of fingers
and load over the obstacle's top [m]; half the target's height, from where it lay at the episode's
first step [m]; near the goal, the height of the held target's lower side over it [m]. Last, how
fast the target sinks in this episode's hand once it is held, known while it is near: what is oily
looks so before it is grasped [m/s]."""

HINDSIGHT = ("creep",)
"""Columns that later steps of the episode tell: good to learn from, but no bound for a forecast may
read them, nor whether they are known."""

OBSTACLE = "obstacle"
"""Name of an object that stands on the table, z = 0, in the way: its top is twice as high as its
centre. Worlds that have none, or no object of this name, leave its columns open."""

SCENE_KEYS = ("object_pose", "grasped_object", "gripper_width")
"""Arrays of a run that it is made of."""

_REACH = 2.0  # an object further away has fallen out of the world [m]
_REACH_ASIDE, _REACH_UP, _NEAR = 0.06, 0.08, 0.12  # what is near the tool, in the plane and up [m]
_SINKING_STEPS = 5
_CREEP_STEPS = 8  # the first ones that it sinks, or not, tell how fast
_PAD_LOW, _PAD_HIGH, _PAD_HALF_WIDTH = 0.008, 0.016, 0.009  # finger pads about the tool point [m]
_HOLD = 0.004  # an object is grasped if so much of it is between the pads [m]


def scene_of(episode: Episode, pose: np.ndarray) -> np.ndarray:
    """Ground truth of an episode's steps.

    Args:
        episode: with object poses recorded.
        pose: (T, 7) of the tool point: position [m] and quaternion xyzw.

    Returns:
        (T, S) float32 in the order of SCENE_NAMES; NaN where the run does not know it.
    """
    names, tool = list(episode.run.attributes.get("object_names", ())), pose[:, :3]
    found = np.full((len(episode), len(SCENE_NAMES)), np.nan, np.float32)
    found[:, 3:5] = np.asarray(episode.goal_pose[:2]) - tool[:, :2]
    found[:, 10] = tool[:, 2]
    _copy_near(found, (3, 4), (23, 24))
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
        _copy_near(found, (11, 12), (25, 26))
    _add_grasp(found, episode, pose, centres[:, target])
    others = np.delete(centres, apart, axis=1)
    distance = np.linalg.norm(others, axis=2)
    if distance.size and not np.isnan(distance).all():
        nearest = np.argmin(np.where(np.isnan(distance), np.inf, distance), axis=1)
        steps = np.arange(len(others))
        found[:, 5:8] = others[steps, nearest]
        found[:, 8] = distance[steps, nearest]
    return found


def _copy_near(found: np.ndarray, source: tuple[int, int], into: tuple[int, int]) -> None:
    """Copy a place in the plane where it is near the tool."""
    place = found[:, source]
    near = np.linalg.norm(place, axis=1) < _NEAR
    found[:, into] = np.where(near[:, None], place, np.nan)


def _add_grasp(found: np.ndarray, episode: Episode, pose: np.ndarray, offset: np.ndarray) -> None:
    """Fill the columns about fingers and target; `offset` (T, 3) is its centre minus the tool."""
    held = found[:, 9] > 0
    half = np.float32(offset[0, 2] + pose[0, 2])
    x, y, z, w = pose[:, 3:].T
    turn = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    across = offset[:, 0] * np.cos(turn) + offset[:, 1] * np.sin(turn)
    along = offset[:, 1] * np.cos(turn) - offset[:, 0] * np.sin(turn)
    place = np.stack([across, along, offset[:, 2]], axis=1)
    top = np.minimum(offset[:, 2] + half, _PAD_HIGH)
    overlap = top - np.maximum(offset[:, 2] - half, -_PAD_LOW)
    enclosed = (
        (np.abs(along) + 0.9 * half < episode["gripper_width"] / 2)
        & (np.abs(across) < half + _PAD_HALF_WIDTH - _HOLD)
        & (overlap > _HOLD)
    )
    within = (np.hypot(across, along) < _REACH_ASIDE) & (np.abs(offset[:, 2]) < _REACH_UP) & ~held
    found[:, 15:18] = np.where(within[:, None], place, np.nan)
    found[:, 18] = np.where(within, enclosed, np.nan)
    found[:, 19:22] = np.where(held[:, None], place, np.nan)
    before = np.maximum(np.arange(len(pose)) - _SINKING_STEPS, 0)
    seconds = _SINKING_STEPS * episode.run.attributes["control_period"]
    sunk = (offset[before, 2] - offset[:, 2]) / seconds
    found[:, 22] = np.where(held & held[before], sunk, np.nan)
    lowest = np.where(held, np.minimum(offset[:, 2] - half, -_PAD_LOW), -_PAD_LOW)
    found[:, 27] = np.where(np.isfinite(found[:, 25]), lowest - found[:, 13], np.nan)
    found[:, 28] = half
    over_goal = pose[:, 2] + offset[:, 2] - half - np.float32(episode.goal_pose[2])
    found[:, 29] = np.where(held & np.isfinite(found[:, 23]), over_goal, np.nan)
    known = found[np.isfinite(found[:, 22]), 22][:_CREEP_STEPS]
    if len(known) == _CREEP_STEPS:
        found[:, 30] = np.where(within | held, np.median(known), np.nan)
