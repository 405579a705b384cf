# SPDX-License-Identifier: Apache-2.0
"""The policy's cameras: where their images come from, and whether they can be used."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from salus_core.messages import ImageError, Input, InvalidInputError, nanoseconds, to_array
from salus_ros.camera_topics import camera_topics

KEPT = 32
"""Images that are kept of one camera: half a second at 60 Hz."""


@dataclass(frozen=True)
class Camera:
    """One camera of the policy.

    Attributes:
        topic: where its images come from.
        shape: (height, width) that they must have.
    """

    topic: str
    shape: tuple[int, int]

    def pixels(self, image: Image) -> np.ndarray:
        """(H, W, 3) uint8 that shares the message's memory.

        Raises:
            InvalidInputError: size or encoding is another; names topic, expected and got.
        """
        try:
            return to_array(image, self.topic, self.shape)
        except ImageError as error:
            raise InvalidInputError(str(error)) from error


class CameraInput(Input):
    """Images of one camera; those of another size or encoding are unusable."""

    def __init__(self, name: str, camera: Camera):
        super().__init__(name, capacity=KEPT)
        self._camera = camera

    def offers(self, message: Image) -> Collection[str]:
        """One part.

        Raises:
            InvalidInputError: see Camera.pixels.
        """
        self._camera.pixels(message)
        return self.needed


class Pictures:
    """Notices a camera whose pictures stay the same, byte for byte, while their stamps go on.

    Args:
        cameras: by name.
    """

    def __init__(self, cameras: Mapping[str, Camera]):
        self._cameras = cameras
        self._first: dict[str, tuple[int, Any]] = {}

    def require_change(self, images: Mapping[str, Image], longest: float) -> None:
        """Check the images of one observation.

        Args:
            images: by the camera's name.
            longest: a picture may stay so long, by its stamps [s].

        Raises:
            InvalidInputError: naming the topic, for how long, and the parameter.
        """
        frozen = []
        for name, image in images.items():
            stamp, data = nanoseconds(image.header.stamp), np.frombuffer(image.data, np.uint8)
            since, known = self._first.get(name, (stamp, None))
            if known is None or stamp < since or not np.array_equal(known, data):
                self._first[name] = (stamp, data)
            elif stamp - since > 1e9 * longest:
                frozen.append(
                    f"{self._cameras[name].topic}: the same picture for {(stamp - since) / 1e9:.2f}"
                    f" s, longer than frozen_after ({longest:g} s): check the camera; for a "
                    "simulator, whose pictures have no noise, set frozen_after to 0"
                )
        if frozen:
            raise InvalidInputError("; ".join(frozen))


def policy_cameras(
    needed: Mapping[str, tuple[int, int]], entries: Sequence[str]
) -> dict[str, Camera]:
    """The cameras of a policy with their topics.

    Args:
        needed: (height, width) by name, from PolicyInfo.
        entries: the parameter camera_topics.

    Raises:
        ValueError: an entry has another form, or names a camera that the policy does not use.
    """
    topics = camera_topics(needed, entries, "the policy")
    return {name: Camera(topics[name], shape) for name, shape in needed.items()}
