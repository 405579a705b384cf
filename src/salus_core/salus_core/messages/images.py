# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image from and to numpy, without cv_bridge and without copies where possible."""

import reprlib
from array import array
from typing import Any

import numpy as np

CHANNEL_ORDER = {"rgb8": slice(None), "bgr8": slice(None, None, -1)}


class ImageError(ValueError):
    """An image that does not hold what it should; the message names topic, expected and got."""


def to_array(
    message: Any, topic: str = "image", shape: tuple[int, int] | None = None
) -> np.ndarray:
    """View an image as RGB.

    Args:
        message: sensor_msgs/Image, encoding rgb8 or bgr8; rows may be padded.
        topic: for error messages.
        shape: (height, width) that the image must have; None: any.

    Returns:
        (H, W, 3) uint8, red first, read-only: it shares the message's memory, with strides for bgr8
        and for padded rows.

    Raises:
        ImageError: encoding, size or length is not as expected.
    """
    height, width = message.height, message.width
    if message.encoding not in CHANNEL_ORDER:
        raise ImageError(
            f"{topic}: expected encoding {' or '.join(CHANNEL_ORDER)}, "
            f"got {reprlib.repr(message.encoding)}"
        )
    if shape is not None and (height, width) != tuple(shape):
        raise ImageError(
            f"{topic}: expected {shape[1]}x{shape[0]} pixels (width x height), got {width}x{height}"
        )
    if height == 0 or width == 0:
        raise ImageError(f"{topic}: expected pixels, got an image of {width}x{height}")
    row = 3 * width
    if message.step < row:
        raise ImageError(
            f"{topic}: expected rows of at least {row} bytes for {width} pixels of "
            f"{message.encoding}, got step {message.step}"
        )
    if len(message.data) != height * message.step:
        raise ImageError(
            f"{topic}: expected {height * message.step} bytes ({height} rows of {message.step}), "
            f"got {len(message.data)}"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, message.step)
    pixels = rows[:, :row].reshape(height, width, 3)[:, :, CHANNEL_ORDER[message.encoding]]
    pixels.flags.writeable = False
    return pixels


def fill_image(message: Any, pixels: np.ndarray, frame_id: str = "") -> None:
    """Put pixels into an image message, as rgb8; the stamp is the caller's.

    Args:
        message: sensor_msgs/Image.
        pixels: (H, W, 3) uint8, red first.
        frame_id: optical frame of the camera.

    Raises:
        ImageError: `pixels` is not (H, W, 3) uint8.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ImageError(
            f"{frame_id}: expected (height, width, 3) uint8, got {pixels.shape} {pixels.dtype}"
        )
    message.header.frame_id = frame_id
    message.height, message.width = pixels.shape[:2]
    message.encoding = "rgb8"
    message.step = 3 * message.width
    # frombytes() of a buffer takes 0.02 ms for 256x256; array("B", buffer) goes through every
    # element and takes 13 ms.
    data = array("B")
    data.frombytes(memoryview(np.ascontiguousarray(pixels)).cast("B"))
    message.data = data
