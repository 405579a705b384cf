# SPDX-License-Identifier: Apache-2.0
"""Messages of a bag in the order in which they were received: read without ROS.

MCAP and sqlite3 files are read from front to back, without metadata.yaml, so that one that a crash
cut off is read up to the last whole message. Compressed files are read by rosbags.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from salus_core.bags.errors import BagError, one_line
from salus_core.bags.mcap_file import McapFile
from salus_core.bags.sqlite_file import SqliteFile

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

_UNREADABLE = (
    *(SerdeError, TypesysError, struct.error),
    *(OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(AssertionError, RuntimeError, MemoryError, SyntaxError, EOFError),
)
"""What rosbags raises for bytes that are no message or no definition."""


@dataclass(frozen=True)
class _Topic:
    """A topic as a bag describes it."""

    name: str
    type: str
    definition: str


@dataclass(frozen=True)
class Received:
    """One message.

    Attributes:
        topic: below the namespace.
        time: of receipt [ns].
        message: as rosbags gives it.
    """

    topic: str
    time: int
    message: Any


def is_bag(path: Path) -> bool:
    """Whether a path looks like a bag: a folder with files of one, or a single file."""
    if path.is_dir():
        return (path / "metadata.yaml").exists() or bool(_files(path))
    return path.suffix in (".mcap", ".db3")


def read_messages(
    path: Path, namespace: str = "", remark: Callable[[str], None] = lambda _: None
) -> Iterator[Received]:
    """Read the messages of a monitored policy.

    Args:
        path: a bag's folder, or a file of one.
        namespace: of the topics, as in `/salus`; empty: the only one that has vla_signals.
        remark: called with a sentence on what is not whole.

    Yields:
        The messages of TOPICS, in the order of their receipt.

    Raises:
        BagError: it is no bag, is damaged, has no vla_signals, has several and none is chosen, or
            a type of another version.
    """
    files = _files(path) if path.is_dir() else [path]
    topics, raw = _read_files(files, remark) if files else _read_by_rosbags(path)
    prefix = _namespace(path, [topic.name for topic in topics], namespace)
    wanted = {f"{prefix}/{name}": name for name in TOPICS}
    read = [topic for topic in topics if topic.name in wanted]
    for topic in read:
        if topic.type != TOPICS[wanted[topic.name]]:
            raise BagError(
                f"{path}: {topic.name} is of type {topic.type}, expected "
                f"{TOPICS[wanted[topic.name]]}"
            )
    store = _typestore(path, read)
    found = sorted(
        ((time, name, data) for name, time, data in raw(set(wanted))), key=lambda entry: entry[0]
    )
    types = {topic.name: topic.type for topic in read}
    for time, name, data in found:
        yield Received(wanted[name], time, _decoded(path, store, name, types[name], data))


def _files(path: Path) -> list[Path]:
    """MCAP and sqlite3 files of a folder in the order of their numbers: bag_2 before bag_10."""

    def number(file: Path) -> tuple[int, str]:
        digits = re.search(r"_(\d+)$", file.stem)
        return (int(digits[1]) if digits else -1, file.name)

    return sorted((f for f in path.iterdir() if f.suffix in (".mcap", ".db3")), key=number)


_Raw = Callable[[set[str]], Iterator[tuple[str, int, bytes]]]


def _read_files(files: list[Path], remark: Callable[[str], None]) -> tuple[list[_Topic], _Raw]:
    kept: list[tuple[str, int, bytes]] = []
    topics: dict[str, _Topic] = {}
    for path in files:
        try:
            file, found = (_read_sqlite if path.suffix == ".db3" else _read_mcap)(path, kept)
        except OSError as error:
            raise BagError(f"{path} cannot be read: {error.strerror}") from error
        for topic in found:
            topics.setdefault(topic.name, topic)
        if file.cut:
            remark(f"{path} breaks off {file.cut}: it is read up to the last whole message.")
    return list(topics.values()), lambda wanted: (one for one in kept if one[0] in wanted)


def _read_mcap(path: Path, kept: list[tuple[str, int, bytes]]) -> tuple[McapFile, list[_Topic]]:
    file = McapFile(path)
    for channel, time, data in file.messages():
        topic = file.channels[channel].topic
        if topic.rpartition("/")[2] in TOPICS:
            kept.append((topic, time, data))
    found = []
    for known in file.channels.values():
        schema = file.schemas.get(known.schema_id)
        definition = schema.data.decode(errors="replace") if schema is not None else ""
        found.append(_Topic(known.topic, schema.name if schema is not None else "", definition))
    return file, found


def _read_sqlite(path: Path, kept: list[tuple[str, int, bytes]]) -> tuple[SqliteFile, list[_Topic]]:
    file = SqliteFile(path)
    for number, time, data in file.messages():
        topic, _ = file.topics[number]
        if topic.rpartition("/")[2] in TOPICS:
            kept.append((topic, time, data))
    definitions = file.definitions
    return file, [
        _Topic(name, kind, definitions.get(kind, "")) for name, kind in file.topics.values()
    ]


def _read_by_rosbags(path: Path) -> tuple[list[_Topic], _Raw]:
    """Compressed bags; they need their metadata.yaml."""
    if not (path / "metadata.yaml").exists():
        raise BagError(f"{path} cannot be read as a bag: it has no MCAP or sqlite3 file")

    def read(wanted: set[str] | None) -> Iterator[Any]:
        try:
            with Reader(path) as reader:
                if wanted is None:
                    yield from reader.connections
                    return
                chosen = [found for found in reader.connections if found.topic in wanted]
                for found, time, data in reader.messages(chosen):
                    yield found.topic, time, data
        except Exception as error:  # of rosbags, its two sqlite modules, its YAML and its zstd
            raise BagError(f"{path} cannot be read as a bag: {one_line(error)}") from error

    topics: dict[str, _Topic] = {}
    for found in read(None):
        topics.setdefault(found.topic, _Topic(found.topic, found.msgtype, found.msgdef.data))
    return list(topics.values()), read


def _namespace(path: Path, topics: list[str], namespace: str) -> str:
    found = sorted(
        {name.removesuffix(f"/{SIGNALS}") for name in topics if name.endswith(f"/{SIGNALS}")}
    )
    if namespace:
        wanted = "/" + namespace.strip("/")
        if wanted not in found:
            raise BagError(f"{path} has no {wanted}/{SIGNALS}")
        return wanted
    if not found:
        names = ", ".join(sorted(set(topics)))
        raise BagError(f"{path} has no topic '{SIGNALS}'; it has {names or 'none'}")
    if len(found) > 1:
        raise BagError(f"{path} has several namespaces: choose one with --namespace: {found}")
    return found[0]


def _decoded(path: Path, store: Typestore, topic: str, kind: str, data: bytes) -> Any:
    try:
        return store.deserialize_cdr(data, kind)
    except _UNREADABLE:
        # Fast CDR leaves room to align the values of a last sequence that has none (`effort` of
        # JointState): four bytes, which is more than rosbags takes for padding.
        try:
            return store.deserialize_cdr(data[:-4], kind)
        except _UNREADABLE as error:
            raise BagError(
                f"{path}: a message of {topic} is damaged and cannot be read: {one_line(error)}"
            ) from error


def _typestore(path: Path, topics: list[_Topic]) -> Typestore:
    """Types as the bag defines them; where it does not, as the installed salus_msgs does."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    for topic in topics:
        if topic.type in store.types or topic.type in types:
            continue
        if not topic.definition:
            types |= _installed_types(path)
            continue
        try:
            found = get_types_from_msg(topic.definition, topic.type)
        except _UNREADABLE as error:
            raise BagError(
                f"{path}: the definition of {topic.type} is damaged: {one_line(error)}"
            ) from error
        types |= {name: one for name, one in found.items() if name not in store.types}
    try:
        store.register(types)
    except _UNREADABLE as error:
        raise BagError(f"{path}: its message types are damaged: {one_line(error)}") from error
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
