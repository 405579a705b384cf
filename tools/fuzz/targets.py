# SPDX-License-Identifier: Apache-2.0
"""What reads bytes from outside, as functions of bytes that may raise only what they declare."""

import contextlib
import hashlib
import json
import shutil
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from golden_copies import BAG, CHECKPOINT, copy
from numpy_backend import NumpyBackend, make_checkpoint
from policy_documents import NATIVE
from rosbags.rosbag2 import Reader, StoragePlugin
from rosbags.rosbag2 import Writer as BagWriter

from salus_core.bags.errors import BagError
from salus_core.bags.recording import read_bag
from salus_core.bags.steps import steps_of_bags
from salus_core.commands.train import read_settings
from salus_core.data.splits import SplitError, load_splits
from salus_core.episode_store import (
    DamagedRunError,
    EpisodeStart,
    EpisodeWriter,
    NotARunError,
    open_run,
    recover_root,
    verify_run,
)
from salus_core.episode_store.testing import make_row, make_schema, write_episode
from salus_core.failures import Taxonomy, TaxonomyError
from salus_core.predictors.checkpoint import MANIFEST, WEIGHTS, CheckpointError, load_checkpoint
from salus_core.predictors.settings import SettingsError
from salus_policies.backends.base import BackendError, LoadOptions
from salus_policies.backends.remote import protocol
from salus_policies.policy_config import read_config


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        one: Reads bytes; raises only what it does not declare.
        seeds: Whole inputs to begin from.
        document: Whether inputs are JSON after `prefix` bytes, so that values can be replaced.
        prefix: Bytes before the document.
    """

    one: Callable[[bytes], None]
    seeds: list[bytes]
    document: bool = False
    prefix: int = 0


def quiet(action: Callable[..., object], *arguments: object, declared=()) -> None:
    """Call it; a declared error must be one line that is short enough to read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            action(*arguments)
    except declared as error:
        said = str(error)
        assert said
        assert len(said) < 4000, f"an error of {len(said)} characters"


def bag(folder: Path, suffix: str, plugin: StoragePlugin) -> Target:
    """Whole files of a bag."""
    source = copy(folder / "golden", plugin=plugin) / f"golden{suffix}"
    file = folder / f"fuzzed{suffix}"

    def one(data: bytes) -> None:
        file.write_bytes(data)
        quiet(lambda: steps_of_bags([read_bag(file)], (), 1 / 30), declared=BagError)

    return Target(one, [source.read_bytes()])


def bag_message(folder: Path) -> Target:
    """A message of a bag: the first byte chooses the topic."""
    with Reader(BAG) as reader:
        connections = sorted(reader.connections, key=lambda c: c.topic)
        messages = list(reader.messages())
    first = {}
    for connection, _, data in messages:
        first.setdefault(connection.topic, bytes(data))

    def one(data: bytes) -> None:
        shutil.rmtree(folder / "bag", ignore_errors=True)
        wanted = connections[data[0] % len(connections)].topic if data else ""
        replaced = False
        with BagWriter(folder / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            made = {
                c.id: writer.add_connection(
                    c.topic, c.msgtype, msgdef=c.msgdef.data, rihs01=c.digest
                )
                for c in connections
            }
            for connection, time, content in messages:
                if connection.topic == wanted and not replaced:
                    content, replaced = data[1:], True
                writer.write(made[connection.id], time, content)
        quiet(lambda: steps_of_bags([read_bag(folder / "bag")], (), 1 / 30), declared=BagError)

    return Target(one, [bytes([i]) + first[c.topic] for i, c in enumerate(connections)])


class Bytes:
    """A connection on which bytes have come, and nothing more."""

    def __init__(self, data: bytes):
        self._left = memoryview(data)

    def settimeout(self, seconds: float | None) -> None:
        """Take the time for granted."""

    def recv(self, size: int) -> bytes:
        """Give some bytes."""
        found, self._left = bytes(self._left[:size]), self._left[size:]
        return found

    def recv_into(self, view: memoryview) -> int:
        """Give some bytes into a buffer."""
        found = self.recv(len(view))
        view[: len(found)] = found
        return len(found)


def frame(folder: Path) -> Target:
    """Messages of the policy server, both ways."""
    backend = NumpyBackend.load(str(make_checkpoint(folder / "policy")), LoadOptions("cpu"))
    declared = (protocol.ProtocolError, BackendError, OSError)

    def read(message: protocol.Message, reader: Callable) -> None:
        quiet(reader, message, declared=declared)

    def one(data: bytes) -> None:
        found = []
        quiet(lambda: found.append(protocol.receive(Bytes(data))), declared=declared)
        for message in found:
            for reader in (protocol.read_observation, protocol.read_output, protocol.read_info):
                read(message, reader)

    class Sent:
        def __init__(self):
            self.data = b""

        def sendall(self, data):
            self.data += bytes(data)

    seeds = []
    for message in (
        protocol.Message("hello", {"protocol": 2, "token": "a token of sixteen"}),
        protocol.info_message(backend.info),
        protocol.Message(
            "act",
            {"step": 3, "instruction": "sort", "gripper_width": 0.05},
            {"image/top": np.zeros((2, 3, 3), np.uint8), "joint_positions": np.zeros(6)},
        ),
        protocol.Message("output", arrays={"action": np.zeros(6)}),
    ):
        sent = Sent()
        protocol.send(sent, message)
        seeds.append(sent.data)
    return Target(one, seeds)


def header(folder: Path) -> Target:
    """Headers of the policy server's messages as documents; the frame around them fits."""
    inner = frame(folder)

    def one(data: bytes) -> None:
        try:
            listed = json.loads(data)["arrays"]
            size = sum(
                int(np.prod(a["shape"])) * np.dtype(a["dtype"]).itemsize
                for a in listed
                if all(0 <= n < 1000 for n in a["shape"])
            )
        except (ValueError, TypeError, KeyError, RecursionError, AttributeError, OverflowError):
            size = 0
        size = max(0, min(size, 1 << 20))
        prefix = protocol.PREFIX.pack(protocol.MAGIC, len(data), size)
        inner.one(prefix + data + bytes(size))

    found = []
    for seed in inner.seeds:
        _, length, _ = protocol.PREFIX.unpack(seed[: protocol.PREFIX.size])
        found.append(seed[protocol.PREFIX.size :][:length])
    return Target(one, found, document=True)


def run_file(folder: Path) -> Target:
    """A file of a run without checksums: the first two bytes choose which."""
    writer = EpisodeWriter(folder / "runs", make_schema())
    for number, length in enumerate((20, 3)):
        write_episode(writer, number, length)
    writer.close()
    whole = writer.path
    metadata = json.loads((whole / "metadata.json").read_text())
    del metadata["checksums"]
    (whole / "metadata.json").write_text(json.dumps(metadata))
    (whole / "checksums.txt").unlink()
    left_out = {".lock", "COLCON_IGNORE"}
    paths = [p for p in sorted(whole.rglob("*")) if p.is_file() and p.name not in left_out]
    contents = [path.read_bytes() for path in paths]
    declared = (DamagedRunError, NotARunError)

    def read() -> None:
        found = open_run(whole)
        for episode in found:
            episode.read()
            for camera in found.cameras:
                episode.images(camera)

    def one(data: bytes) -> None:
        if len(data) < 2:
            return
        chosen = struct.unpack("<H", data[:2])[0] % len(paths)
        try:
            paths[chosen].write_bytes(data[2:])
            quiet(read, declared=declared)
            quiet(verify_run, whole, declared=declared)
        finally:
            paths[chosen].write_bytes(contents[chosen])

    seeds = [struct.pack("<H", i) + content for i, content in enumerate(contents)]
    # Pictures' shards are many and alike.
    kept = [seed for seed in seeds if len(seed) < 20_000]
    return Target(one, kept, document=True, prefix=2)


def torn_run(folder: Path) -> Target:
    """A file of a run whose recorder died in an episode: recovery reads it."""
    schema = make_schema()
    writer = EpisodeWriter(folder / "source", schema)
    write_episode(writer, 0, 20)
    writer.begin_episode(EpisodeStart(number=2, seed=1, instruction="sort", max_steps=100))
    for step in range(70):
        writer.append(make_row(schema, 2, step))
    whole = shutil.copytree(writer.path, folder / "torn")
    writer.abandon("no longer needed")
    left_out = {".lock", "COLCON_IGNORE"}
    names = [
        p.relative_to(whole)
        for p in sorted(whole.rglob("*"))
        if p.is_file() and p.name not in left_out and p.stat().st_size < 20_000
    ]

    def one(data: bytes) -> None:
        if len(data) < 2:
            return
        shutil.rmtree(folder / "root", ignore_errors=True)
        copied = folder / "root" / whole.name
        shutil.copytree(whole, copied)
        (copied / names[struct.unpack("<H", data[:2])[0] % len(names)]).write_bytes(data[2:])
        quiet(recover_root, folder / "root", declared=())

    seeds = [struct.pack("<H", i) + (whole / name).read_bytes() for i, name in enumerate(names)]
    return Target(one, seeds, document=True, prefix=2)


def checkpoint_part(folder: Path, weights: bool) -> Target:
    """The manifest or the weights of a predictor's checkpoint; the hash fits."""
    shutil.copytree(CHECKPOINT, folder / "checkpoint")
    manifest = json.loads((CHECKPOINT / MANIFEST).read_text())

    def one(data: bytes) -> None:
        if weights:
            manifest["weights_sha256"] = hashlib.sha256(data).hexdigest()
            (folder / "checkpoint" / WEIGHTS).write_bytes(data)
            (folder / "checkpoint" / MANIFEST).write_text(json.dumps(manifest))
        else:
            (folder / "checkpoint" / MANIFEST).write_bytes(data)
        quiet(load_checkpoint, folder / "checkpoint", declared=CheckpointError)

    source = CHECKPOINT / (WEIGHTS if weights else MANIFEST)
    return Target(one, [source.read_bytes()], document=not weights)


def document(folder: Path, name: str, read: Callable, declared: type, content: object) -> Target:
    """A YAML file that a user writes."""
    file = folder / name

    def one(data: bytes) -> None:
        file.write_bytes(data)
        quiet(read, file, declared=declared)

    seeds = [yaml.safe_dump(content).encode(), json.dumps(content).encode()]
    return Target(one, seeds, document=True)


TRAINING = {
    "predictor": "temporal",
    "seed": 3,
    "data": {"runs": ["runs"], "splits": "splits.yaml"},
    "network": {"core": "gru", "width": 8},
    "training": {"epochs": 2, "batch_size": 8, "learning_rate": 0.001},
}
TAXONOMY = {"failure_types": {"spill": "liquid left its vessel", "wrong_object": "another object"}}
SPLITS = {"splits": {"train": {"seeds": [0, 9]}, "test": {"seeds": [10, 19], "tasks": ["lift"]}}}

TARGETS: dict[str, Callable[[Path], Target]] = {
    "bag_mcap": lambda folder: bag(folder, ".mcap", StoragePlugin.MCAP),
    "bag_sqlite": lambda folder: bag(folder, ".db3", StoragePlugin.SQLITE3),
    "bag_message": bag_message,
    "server_frame": frame,
    "server_header": header,
    "run_file": run_file,
    "torn_run": torn_run,
    "predictor_manifest": lambda folder: checkpoint_part(folder, weights=False),
    "predictor_weights": lambda folder: checkpoint_part(folder, weights=True),
    "policy_config": lambda folder: document(
        folder, "salus_policy.yaml", lambda f: read_config(f, "own"), BackendError, NATIVE
    ),
    "train_config": lambda folder: document(
        folder, "train.yaml", lambda f: read_settings(str(f), []), SettingsError, TRAINING
    ),
    "taxonomy": lambda folder: document(
        folder, "types.yaml", Taxonomy.load, TaxonomyError, TAXONOMY
    ),
    "splits": lambda folder: document(folder, "splits.yaml", load_splits, SplitError, SPLITS),
}


def make(name: str, folder: Path) -> Target:
    """The target of a name; it works in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder):
        return TARGETS[name](folder)
