# SPDX-License-Identifier: Apache-2.0
"""Makes the golden bag: a live node's forecasts, and the messages that it made them from.

    python golden.py      # in a ROS environment; replaces golden/bag, after messages have changed

The bag (MCAP, read and written by rosbags alone) and the checkpoint are kept in the repository, so
that live node, played bag and offline replay are compared with numbers of an earlier version.
`golden/bag_of_0_1` is the bag of version 0.1, whose actions had a fixed length of 7: it stays as it
is, and must stay readable. The checkpoint is of manifest format 1 and stays, too.
"""

import os
import shutil
import sys
from array import array
from pathlib import Path

import numpy as np
import rclpy
from ament_index_python.packages import get_package_share_directory
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from salus_msgs.msg import EpisodeStatus, SignalInfo

from salus_core.actions import TOOL_MOTION
from salus_core.data.testing import make_steps

GOLDEN = Path(__file__).parent / "golden"
BAG, CHECKPOINT = GOLDEN / "bag", GOLDEN / "checkpoint"
OLD_BAG = GOLDEN / "bag_of_0_1"
NAMESPACE = "/salus"
EPISODES = (2, 5)
"""Of the made-up steps; their numbers in the bag are 1 and 2."""
STEPS = 40
PERIOD_NS = 33_333_333
JOINT_NAMES = (
    *(f"panda_joint{i}" for i in range(1, 8)),
    "panda_finger_joint1",
    "panda_finger_joint2",
)


def made_up_steps():
    """Steps whose tool poses are poses."""
    steps = make_steps(40, seed=21, joint_names=JOINT_NAMES)
    turn = steps.proprioception[:, -4:]
    turn /= np.linalg.norm(turn, axis=1, keepdims=True)
    return steps


class BagWriter:
    """Writes ROS messages into a bag, with their definitions."""

    def __init__(self, path, plugin=StoragePlugin.MCAP):
        self._store = get_typestore(Stores.ROS2_JAZZY)
        types = {}
        share = Path(get_package_share_directory("salus_msgs"))
        for file in sorted((share / "msg").glob("*.msg")):
            types |= get_types_from_msg(file.read_text(), f"salus_msgs/msg/{file.stem}")
        self._store.register(types)
        self._writer = Writer(path, version=9, storage_plugin=plugin)
        self._writer.open()
        self._connections = {}

    def write(self, topic, stamp, message):
        if topic not in self._connections:
            package = type(message).__module__.split(".")[0]
            kind = f"{package}/msg/{type(message).__name__}"
            self._connections[topic] = self._writer.add_connection(
                f"{NAMESPACE}/{topic}", kind, typestore=self._store
            )
        self._writer.write(self._connections[topic], stamp, serialize_message(message))

    def close(self):
        self._writer.close()


def record(data, checkpoint, path, plugin=StoragePlugin.MCAP):
    """Run the node over some episodes and record what it is sent and what it answers."""
    from rig import Rig

    rig = Rig(checkpoint=str(checkpoint), info_wait=0.0, stale_after=0.0)
    sent = []
    for topic in ("joints", "pose", "signals"):
        publisher = getattr(rig, topic)
        name = {"joints": "joint_states", "pose": "tool_pose", "signals": "vla_signals"}[topic]
        setattr(rig, topic, Tap(publisher, name, sent))
    writer = BagWriter(path, plugin)
    info = SignalInfo(
        policy="made up",
        policy_hash="00",
        schema_hash=data.schema_hash,
        embedding_size=data.embedding.shape[1],
        members=data.members,
        control_period=data.control_period,
        action_names=list(TOOL_MOTION.names),
        action_units=list(TOOL_MOTION.units),
        action_kinds=[str(kind) for kind in TOOL_MOTION.kinds],
        action_scale=array("f", [1.0] * TOOL_MOTION.size),
    )
    now = 1_000_000_000
    writer.write("signal_info", now, info)
    writer.write("forecast_info", now, rig.info[-1])
    table = data.episodes
    for number, episode in enumerate(EPISODES, start=1):
        rows = data.rows(episode)
        length = min(STEPS, rows.stop - rows.start)
        writer.write("episode", now, EpisodeStatus(episode=number, step=0, seed=number))
        for row in range(rows.start, rows.start + length):
            count = len(rig.forecasts) + 1
            del sent[:]
            rig.send_step(data, row, episode=number)
            rig.until(lambda count=count: len(rig.forecasts) == count, 20.0)
            for topic, message in [*sent, ("failure_forecast", rig.forecasts[-1])]:
                now += 1_000_000
                writer.write(topic, now, message)
            now += PERIOD_NS - 4_000_000
        failed = 0 < table.onset_step[episode] <= length
        status = EpisodeStatus(episode=number, step=length, seed=number, instruction="push")
        status.state = EpisodeStatus.STATE_FAILED if failed else EpisodeStatus.STATE_SUCCEEDED
        status.failure = int(table.failure[episode]) if failed else 0
        status.onset_step = int(table.onset_step[episode]) if failed else 0
        writer.write("episode", now, status)
    writer.close()
    forecasts = list(rig.forecasts)
    rig.close()
    return forecasts


class Tap:
    """A publisher that also keeps what it sends."""

    def __init__(self, publisher, topic, sent):
        self._publisher, self._topic, self._sent = publisher, topic, sent

    def publish(self, message):
        self._sent.append((self._topic, message))
        self._publisher.publish(message)

    def __getattr__(self, name):
        return getattr(self._publisher, name)


def main():
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    shutil.rmtree(BAG, ignore_errors=True)
    # By a relative path: forecast_info says where the checkpoint is, and no machine's path stays.
    os.chdir(GOLDEN.parent)
    rclpy.init(args=[])
    record(made_up_steps(), CHECKPOINT.relative_to(GOLDEN.parent), BAG)
    rclpy.try_shutdown()
    for path in sorted(BAG.rglob("*")):
        print(path.relative_to(GOLDEN), path.stat().st_size)


if __name__ == "__main__":
    sys.exit(main())
