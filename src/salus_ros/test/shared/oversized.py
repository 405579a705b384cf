# SPDX-License-Identifier: Apache-2.0
"""Messages whose action is longer than any publisher that checks would send."""

import struct

from rclpy.serialization import serialize_message

MOST, MARK = 64, 1.5


def oversized(message, action):
    """Bytes of a message, for `publish`.

    Args:
        message: has a field `action` of at most 64 numbers; it is overwritten.
        action: its numbers, any number of them.
    """
    message.action = [MARK] * MOST
    data = serialize_message(message)
    marks = struct.pack("<d", MARK) * MOST
    start = data.index(marks)
    place = data.rindex(struct.pack("<I", MOST), 0, start)
    length = struct.pack("<I", len(action)) + data[place + 4 : start]
    numbers = struct.pack(f"<{len(action)}d", *action)
    return data[:place] + length + numbers + data[start + len(marks) :]


def any_action(message, action):
    """What to publish so that the action arrives: a message, or bytes if it is too long."""
    if len(action) > MOST:
        return oversized(message, action)
    message.action = list(action)
    return message
