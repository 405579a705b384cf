# SPDX-License-Identifier: Apache-2.0
"""Copies of the golden bag with something changed, read and written by rosbags alone."""

import dataclasses
from pathlib import Path

from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

GOLDEN = Path(__file__).parents[3] / "salus_predictor_node/test/golden"
BAG, CHECKPOINT = GOLDEN / "bag", GOLDEN / "checkpoint"


def copy(path, change=lambda topic, message: [(0, message)], plugin=StoragePlugin.MCAP, **writing):
    """Write the golden bag anew.

    Args:
        path: of the copy.
        change: gives for a topic below the namespace and its message a list of (delay of the
            receipt [ns], message) to be written.
        plugin: of the storage.
        writing: further arguments of `mcap_writer`, or none.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    messages = []
    with Reader(BAG) as reader:
        connections = list(reader.connections)
        for connection in connections:
            types = get_types_from_msg(connection.msgdef.data, connection.msgtype)
            store.register({n: t for n, t in types.items() if n not in store.types})
        for connection, time, data in reader.messages():
            try:
                message = store.deserialize_cdr(data, connection.msgtype)
            except Exception:
                message = store.deserialize_cdr(data[:-4], connection.msgtype)
            topic = connection.topic.rpartition("/")[2]
            for delay, changed in change(topic, message):
                messages.append((time + delay, connection, changed))
    messages.sort(key=lambda entry: entry[0])
    with Writer(path, version=9, storage_plugin=plugin, **writing) as writer:
        made = {
            c.id: writer.add_connection(c.topic, c.msgtype, msgdef=c.msgdef.data, rihs01=c.digest)
            for c in connections
        }
        for time, connection, message in messages:
            data = store.serialize_cdr(message, connection.msgtype)
            writer.write(made[connection.id], time, bytes(data))
    return path


def stamped(message, offset):
    """A message with another stamp.

    Args:
        message: with a header.
        offset: added to the stamp [ns].
    """
    stamp = message.header.stamp
    sec, nanosec = divmod(stamp.sec * 10**9 + stamp.nanosec + offset, 10**9)
    stamp = dataclasses.replace(stamp, sec=sec, nanosec=nanosec)
    header = dataclasses.replace(message.header, stamp=stamp)
    return dataclasses.replace(message, header=header)


def numbered(message, numbers):
    """A message with another number of its episode, if it has one."""
    if not hasattr(message, "episode"):
        return message
    return dataclasses.replace(message, episode=numbers[message.episode])
