# SPDX-License-Identifier: Apache-2.0
"""`ros2 bag`."""

import argparse

from . import bag_info, bag_play, bag_record
from .cli import add_verbs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `ros2 bag`."""
    add_verbs(
        parser,
        {
            "record": ("Record topics", bag_record.add_options, bag_record.record),
            "play": ("Publish what a bag holds", bag_play.add_options, bag_play.play),
            "info": ("Describe a bag", bag_info.add_options, bag_info.info),
        },
    )
