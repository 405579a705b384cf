# SPDX-License-Identifier: Apache-2.0
"""The parameter camera_topics: where the images of named cameras come from."""

from collections.abc import Collection, Sequence

from sensor_msgs.msg import CompressedImage, Image


def camera_topics(cameras: Collection[str], entries: Sequence[str], whose: str) -> dict[str, str]:
    """Give each camera its topic: camera/NAME/image_raw unless an entry names another.

    Args:
        cameras: names.
        entries: 'NAME=topic' each; empty strings are skipped.
        whose: the cameras are, for the message.

    Raises:
        ValueError: an entry has another form, or names a camera that there is not.
    """
    given = {}
    for entry in filter(None, entries):
        name, separator, topic = entry.partition("=")
        if not (name and separator and topic):
            raise ValueError(f"parameter 'camera_topics': '{entry}' is not of the form NAME=topic")
        if name not in cameras:
            raise ValueError(
                f"parameter 'camera_topics': {whose} has no camera '{name}', it has "
                f"{', '.join(cameras)}"
            )
        given[name] = topic
    return {name: given.get(name, f"camera/{name}/image_raw") for name in cameras}


def image_type(topic: str) -> type[Image] | type[CompressedImage]:
    """The type of a topic of images, which image_transport's names tell."""
    return CompressedImage if topic.endswith("/compressed") else Image
