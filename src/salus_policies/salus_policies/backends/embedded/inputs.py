# SPDX-License-Identifier: Apache-2.0
"""From an observation to the embedded policy's inputs; training and inference share this code."""

from __future__ import annotations

import numpy as np

from salus_policies.backends.embedded.config import EmbeddedConfig

MAX_WORDS = 16
GRIPPER_SPEED_SCALE = 10.0  # the gripper closes 8 cm within about 10 steps


def resize_area(image: np.ndarray, size: int) -> np.ndarray:
    """Average an image over square blocks.

    Args:
        image: (n * size, n * size, 3) uint8 with an integer n.
        size: edge of the result.

    Returns:
        (size, size, 3) uint8.

    Raises:
        ValueError: the image is no integer multiple of the size.
    """
    height, width = image.shape[:2]
    if height != width or height % size:
        raise ValueError(f"image is {width}x{height}: it must be square, in multiples of {size}")
    factor = height // size
    if factor == 1:
        return image
    # Strided sums: five times as fast as reduceat or a mean over a reshaped view.
    rows = sum(image[i::factor].astype(np.uint16) for i in range(factor))
    total = sum(rows[:, i::factor] for i in range(factor))
    return ((total + factor * factor // 2) // (factor * factor)).astype(np.uint8)


def camera_view(image: np.ndarray, camera: str, config: EmbeddedConfig) -> np.ndarray:
    """What the network gets of a camera's image: its window, averaged to the network's size.

    Args:
        image: (E, E, 3) uint8; one of the network's own size is taken for a view already.
        camera: its name.
        config: has the windows.

    Returns:
        (S, S, 3) uint8.

    Raises:
        ValueError: the image is not square, or the window no multiple of the network's size.
    """
    if image.shape[:2] == (config.image_size, config.image_size):
        return image
    left, top, edge = config.window(camera)
    first_row, first_column, size = (round(x * image.shape[0]) for x in (top, left, edge))
    if image.shape[0] != image.shape[1] or size % config.image_size:
        raise ValueError(
            f"camera '{camera}': image is {image.shape[1]}x{image.shape[0]}: it must be square, "
            f"and {edge:g} of its edge a multiple of {config.image_size} pixels"
        )
    window = image[first_row : first_row + size, first_column : first_column + size]
    return resize_area(window, config.image_size)


def view_points(points: np.ndarray, camera: str, config: EmbeddedConfig) -> np.ndarray:
    """Places in a camera's image as places in its view.

    Args:
        points: (..., 2) rightwards and downwards from the centre, -1 to 1.
        camera: its name.
        config: has the windows.

    Returns:
        (..., 2) in the same units; NaN for what is outside.
    """
    left, top, edge = config.window(camera)
    inside = ((points + 1.0) / 2.0 - (left, top)) * (2.0 / edge) - 1.0
    return np.where((np.abs(inside) <= 1.0).all(-1, keepdims=True), inside, np.nan)


def proprioception_vector(
    tool_position: np.ndarray,
    tool_quaternion: np.ndarray,
    gripper_width: float,
    previous_gripper_width: float,
    joint_positions: np.ndarray,
) -> np.ndarray:
    """The vector named by `config.PROPRIOCEPTION`.

    Args:
        tool_position: (3,) [m].
        tool_quaternion: (4,) xyzw; its sign is made unique.
        gripper_width: now [m].
        previous_gripper_width: one step before [m].
        joint_positions: (7,) of the arm [rad].

    Returns:
        (16,) float32; the gripper's speed in widths of 10 cm per step times ten.
    """
    quaternion = np.asarray(tool_quaternion)
    quaternion = quaternion * np.sign(quaternion[np.argmax(np.abs(quaternion))])
    speed = (gripper_width - previous_gripper_width) * GRIPPER_SPEED_SCALE
    parts = [tool_position, quaternion, [gripper_width, speed], joint_positions]
    return np.concatenate(parts).astype(np.float32)


def tokenize(instruction: str, config: EmbeddedConfig) -> np.ndarray:
    """Word numbers of an instruction: (MAX_WORDS,) int64, padded with -1.

    Raises:
        ValueError: no word of the instruction is known.
    """
    index = {word: i for i, word in enumerate(config.vocabulary)}
    words = "".join(c if c.isalnum() else " " for c in instruction.lower()).split()
    numbers = [index.get(word, 0) for word in words][:MAX_WORDS]
    if not any(numbers):
        raise ValueError(f"instruction '{instruction}' has no word that the policy knows")
    return np.array(numbers + [-1] * (MAX_WORDS - len(numbers)), dtype=np.int64)


def executable_action(
    means: np.ndarray, stds: np.ndarray, key: int, step: int, config: EmbeddedConfig
) -> np.ndarray:
    """The action that is executed: a sample around the members' mean first action.

    A policy that sees only roughly whether the fingers are around the cube hesitates: the mean of
    "close" and "come nearer" is neither, for ever. Where it is sure, a sample is its mean; where it
    hesitates, samples end that, as they do in generative policies. They are drawn from the
    episode's first observation and the step's number, so that an episode can be repeated; drawn
    from the step alone they would tell whoever sees the actions what time it is.

    Args:
        means: (K, 7) of the members' first actions, normalised units, the opening in 0..1.
        stds: (K, 7) their predicted spread.
        key: the episode's; see `sampling_key`.
        step: number in the episode.
        config: says how far a sample strays (`action_temperature`) and the units.

    Returns:
        (7,) float64 in physical units; motion is limited to one unit per dimension, the opening is
        0 or 1.
    """
    spread = config.action_temperature * stds.mean(0)
    wanted = means.mean(0) + spread * np.random.default_rng([key, step]).standard_normal(7)
    action = np.clip(wanted, -1.0, 1.0) * np.array(config.action_scale, np.float64)
    action[6] = float(wanted[6] > 0.5)
    return action
