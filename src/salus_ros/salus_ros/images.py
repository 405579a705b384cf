# SPDX-License-Identifier: Apache-2.0
"""Images for ROS: `to_message` makes an Image; everything else is in salus_core.messages."""

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image

from salus_core.messages.images import fill_image


def to_message(pixels: np.ndarray, stamp: Time, frame_id: str) -> Image:
    """Make an rgb8 image message; see salus_core.messages.fill_image."""
    message = Image()
    message.header.stamp = stamp
    fill_image(message, pixels, frame_id)
    return message
