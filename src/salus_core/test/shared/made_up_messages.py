# SPDX-License-Identifier: Apache-2.0
"""Messages without ROS, as salus_core.messages reads them."""

from types import SimpleNamespace as Message

from salus_core.messages import nanoseconds

MS = 1_000_000


def header(stamp):
    """A header with a stamp [ns]."""
    return Message(stamp=Message(sec=stamp // 10**9, nanosec=stamp % 10**9))


def stamped(stamp, **fields):
    return Message(header=header(stamp), **fields)


def joints(stamp, names, position, velocity=()):
    return stamped(stamp, name=list(names), position=list(position), velocity=list(velocity))


def pose(stamp, x=0.0, w=1.0):
    turn = Message(x=0.0, y=0.0, z=0.0, w=w)
    return stamped(stamp, pose=Message(position=Message(x=x, y=0.0, z=0.0), orientation=turn))


def step(stamp, episode, number):
    return stamped(stamp, episode=episode, step=number)


def stamps_of(matched):
    """Stamps of what belongs to an anchor, by input [ns]."""
    return {name: nanoseconds(value.header.stamp) for name, value in matched.values.items()}
