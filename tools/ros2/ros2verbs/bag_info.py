# SPDX-License-Identifier: Apache-2.0
"""`ros2 bag info`."""

import argparse
from datetime import datetime
from pathlib import Path
from typing import Any

from .cli import UsageError


def open_bag(path: str) -> Any:
    """Return a reader of a bag's folder or file, to be used in a with-block.

    Raises:
        UsageError: there is no bag, or it cannot be read.
    """
    from rosbags.rosbag2 import Reader
    from rosbags.rosbag2.errors import ReaderError

    try:
        reader = Reader(Path(path))
        reader.open()
    except (FileNotFoundError, ReaderError) as error:
        raise UsageError(f"cannot read the bag '{path}': {error}") from None
    return reader


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options of `ros2 bag info`."""
    verb.add_argument("bag_path")


def info(args: argparse.Namespace) -> int:
    """Print files, times and topics of a bag."""
    reader = open_bag(args.bag_path)
    try:
        root = Path(args.bag_path)
        files = [root] if root.is_file() else [*root.glob("*.mcap"), *root.glob("*.db3")]
        seconds = reader.duration / 1e9 if reader.message_count else 0.0
        print(f"Files:             {', '.join(sorted(path.name for path in files))}")
        print(f"Bag size:          {_size(sum(path.stat().st_size for path in files))}")
        print(f"Storage id:        {'mcap' if files[0].suffix == '.mcap' else 'sqlite3'}")
        print(f"Duration:          {seconds:.9f}s")
        if reader.message_count:
            for label, time in (("Start", reader.start_time), ("End", reader.end_time)):
                text = datetime.fromtimestamp(time / 1e9).strftime("%b %d %Y %H:%M:%S")
                print(f"{label + ':':<19}{text} ({time / 1e9:.9f})")
        print(f"Messages:          {reader.message_count}")
        label = "Topic information: "
        for connection in sorted(reader.connections, key=lambda c: c.topic):
            print(
                f"{label}Topic: {connection.topic} | Type: {connection.msgtype} | "
                f"Count: {connection.msgcount} | "
                f"Serialization Format: {connection.ext.serialization_format}"
            )
            label = " " * len(label)
    finally:
        reader.close()
    return 0


def _size(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024.0:
            return f"{number:.1f} {unit}"
        number /= 1024.0
    return f"{number:.1f} GiB"
