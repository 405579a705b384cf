"""What a bag holds of a monitored policy: read without ROS, from MCAP or sqlite3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.errors import ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

SIGNALS = "vla_signals"

TOPICS = {
    SIGNALS: "salus_msgs/msg/VlaSignals",
    "signal_info": "salus_msgs/msg/SignalInfo",
    "episode": "salus_msgs/msg/EpisodeStatus",
    "episode_setup": "salus_msgs/msg/EpisodeSetup",
    "intervention": "salus_msgs/msg/Intervention",
    "failure_forecast": "salus_msgs/msg/FailureForecast",
    "forecast_info": "salus_msgs/msg/ForecastInfo",
    "joint_states": "sensor_msgs/msg/JointState",
    "tool_pose": "geometry_msgs/msg/PoseStamped",
}
"""Topics that are read, below the namespace, and their types."""

Key = tuple[int, int]
"""(episode, step)."""


class BagError(ValueError):
    """A bag cannot be replayed; the message says what is missing."""


@dataclass
class BagMessages:
    """Messages of one bag, by what they belong to.

    Attributes:
        path: of the bag.
        signals: the first VlaSignals of each step; others are repetitions.
        info: SignalInfo; None: not recorded.
        policies: (name, hash) of every SignalInfo, in the order in which they came.
        status: last EpisodeStatus of each episode.
        setup: EpisodeSetup of each episode.
        joints: JointState by stamp [ns].
        poses: tool pose by stamp [ns].
        forecasts: FailureForecast with numbers of each step.
        predictor_hash: of the predictor that made them; empty: not known.
        intervened: episodes in which the supervisor changed an action.
    """

    path: Path
    signals: dict[Key, Any] = field(default_factory=dict)
    info: Any = None
    policies: dict[tuple[str, str], None] = field(default_factory=dict)
    status: dict[int, Any] = field(default_factory=dict)
    setup: dict[int, Any] = field(default_factory=dict)
    joints: dict[int, Any] = field(default_factory=dict)
    poses: dict[int, Any] = field(default_factory=dict)
    forecasts: dict[Key, Any] = field(default_factory=dict)
    predictor_hash: str = ""
    intervened: set[int] = field(default_factory=set)

    def take(self, topic: str, message: Any) -> None:
        """Put a message where it belongs."""
        if topic == SIGNALS:
            self.signals.setdefault((message.episode, message.step), message)
        elif topic == "signal_info":
            self.info = message
            self.policies[message.policy, message.policy_hash] = None
        elif topic == "episode":
            self.status[message.episode] = message
        elif topic == "episode_setup":
            self.setup[message.episode] = message
        elif topic == "intervention":
            if message.kind != message.KIND_PASS:
                self.intervened.add(message.episode)
        elif topic == "failure_forecast":
            if len(message.probabilities):
                self.forecasts[message.episode, message.step] = message
        elif topic == "forecast_info":
            self.predictor_hash = message.predictor_hash
        elif topic == "joint_states":
            self.joints[nanoseconds(message.header.stamp)] = message
        elif topic == "tool_pose":
            self.poses[nanoseconds(message.header.stamp)] = message


def nanoseconds(stamp: Any) -> int:
    """A stamp as one number [ns]."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def is_bag(path: Path) -> bool:
    """Whether a path looks like a bag: its folder, or a single MCAP file."""
    if path.is_dir():
        return (path / "metadata.yaml").exists()
    return path.suffix in (".mcap", ".db3")


def read_bag(path: Path, namespace: str = "") -> BagMessages:
    """Read the messages of a monitored policy.

    Args:
        path: a bag's folder, or an MCAP file.
        namespace: of the topics, as in `/salus`; empty: the only one that has vla_signals.

    Raises:
        BagError: it is no bag, has no vla_signals, has several and none is chosen, or a type of
            another version.
    """
    with _opened(path) as reader:
        prefix = _namespace(path, reader.connections, namespace)
        wanted = {f"{prefix}/{topic}": topic for topic in TOPICS}
        connections = [found for found in reader.connections if found.topic in wanted]
        for connection in connections:
            topic = wanted[connection.topic]
            if connection.msgtype != TOPICS[topic]:
                raise BagError(
                    f"{path}: {connection.topic} is of type {connection.msgtype}, expected "
                    f"{TOPICS[topic]}"
                )
        store = _typestore(path, connections)
        messages = BagMessages(path)
        for connection, _, data in reader.messages(connections):
            messages.take(wanted[connection.topic], _decoded(store, connection, data))
    if not messages.signals:
        raise BagError(f"{path}: {prefix}/{SIGNALS} holds no message")
    return messages


@contextmanager
def _opened(path: Path) -> Iterator[Reader]:
    try:
        reader = Reader(path)
        reader.open()
    except (OSError, ReaderError, AssertionError) as error:
        raise BagError(f"{path} cannot be read as a bag: {error}") from error
    try:
        yield reader
    finally:
        reader.close()


def _namespace(path: Path, connections: list[Connection], namespace: str) -> str:
    found = sorted(
        connection.topic.removesuffix(f"/{SIGNALS}")
        for connection in connections
        if connection.topic.endswith(f"/{SIGNALS}")
    )
    if namespace:
        wanted = "/" + namespace.strip("/")
        if wanted not in found:
            raise BagError(f"{path} has no {wanted}/{SIGNALS}")
        return wanted
    if not found:
        topics = ", ".join(sorted({connection.topic for connection in connections}))
        raise BagError(f"{path} has no topic '{SIGNALS}'; it has {topics or 'none'}")
    if len(set(found)) > 1:
        raise BagError(f"{path} has several namespaces: choose one with --namespace: {found}")
    return found[0]


def _decoded(store: Typestore, connection: Connection, data: bytes) -> Any:
    try:
        return store.deserialize_cdr(data, connection.msgtype)
    except SerdeError:
        # Fast CDR leaves room to align the values of a last sequence that has none (`effort` of
        # JointState): four bytes, which is more than rosbags takes for padding.
        try:
            return store.deserialize_cdr(data[:-4], connection.msgtype)
        except SerdeError as error:
            raise BagError(f"a message of {connection.topic} cannot be read: {error}") from error


def _typestore(path: Path, connections: list[Connection]) -> Typestore:
    """Types as the bag defines them; where it does not, as the installed salus_msgs does."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    for connection in connections:
        if connection.msgtype in store.types or connection.msgtype in types:
            continue
        text = connection.msgdef.data
        if not text:
            types |= _installed_types(path)
            continue
        for name, definition in get_types_from_msg(text, connection.msgtype).items():
            if name not in store.types:
                types[name] = definition
    store.register(types)
    return store


def _installed_types(path: Path) -> dict[str, Any]:
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        folder = Path(prefix) / "share" / "salus_msgs" / "msg"
        if folder.is_dir():
            types: dict[str, Any] = {}
            for file in sorted(folder.glob("*.msg")):
                types |= get_types_from_msg(file.read_text(), f"salus_msgs/msg/{file.stem}")
            return types
    raise BagError(
        f"{path} does not define its message types, and salus_msgs is not installed: source the "
        "workspace"
    )
