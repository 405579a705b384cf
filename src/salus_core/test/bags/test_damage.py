# SPDX-License-Identifier: Apache-2.0
"""Bags with flipped, cut, and overwritten bytes: read up to there, or refused in one line."""

import contextlib
import dataclasses
import os
import random
import shutil
import sqlite3
import tracemalloc

import pytest
from golden_copies import BAG, copy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin

from salus_core.bags.errors import BagError
from salus_core.bags.mcap_file import McapFile
from salus_core.bags.reading import read_messages
from salus_core.bags.recording import read_bag
from salus_core.bags.sqlite_file import SqliteFile
from salus_core.bags.steps import steps_of_bags

MOST_BYTES = 200 * 2**20
"""Of memory for a damaged bag of 100 kB."""


@pytest.fixture(scope="module")
def sqlite_bag(tmp_path_factory):
    return copy(tmp_path_factory.mktemp("bags") / "bag", plugin=StoragePlugin.SQLITE3)


@pytest.fixture(scope="module")
def kinds(sqlite_bag):
    return {".mcap": BAG / "bag.mcap", ".db3": sqlite_bag / "bag.db3"}


def read_steps(path):
    return steps_of_bags([read_bag(path)], (), 1 / 30)


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
@pytest.mark.parametrize(
    "examples", [12, pytest.param(1000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_any_damage_is_read_or_refused_in_one_line(kinds, tmp_path, suffix, examples):
    whole = kinds[suffix].read_bytes()
    file = tmp_path / f"damaged{suffix}"

    @given(
        flips=st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(1, 255)), max_size=20),
        early=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 255)), max_size=3),
        size=st.one_of(st.just(len(whole)), st.integers(0, len(whole))),
    )
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def check(flips, early, size):
        content = bytearray(whole)
        for place, change in (*flips, *early):
            content[place] ^= change
        file.write_bytes(content[:size])
        said = ""
        tracemalloc.start()
        try:
            read_steps(file)
        except BagError as error:
            said = str(error)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert not said or (str(file) in said and len(said.splitlines()) == 1)
        assert peak < MOST_BYTES

    check()


@pytest.mark.parametrize(("suffix", "reader"), [(".mcap", McapFile), (".db3", SqliteFile)])
def test_parsers_raise_nothing_but_their_own_error(kinds, tmp_path, suffix, reader):
    whole, rng = kinds[suffix].read_bytes(), random.Random(5)
    file = tmp_path / f"damaged{suffix}"
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(rng.randrange(1, 12)):
            content[rng.randrange(rng.choice((200, 4096, len(whole))))] = rng.randrange(256)
        file.write_bytes(content[: rng.choice((len(whole), rng.randrange(len(whole))))])
        with contextlib.suppress(BagError):
            list(reader(file).messages())


@pytest.mark.parametrize("part", [0.9, 0.5])
def test_a_cut_sqlite_file_is_read_up_to_the_last_whole_message(kinds, tmp_path, part):
    whole = kinds[".db3"].read_bytes()
    original = [(m.topic, m.time) for m in read_messages(kinds[".db3"])]
    file = tmp_path / "cut.db3"
    file.write_bytes(whole[: int(part * len(whole))])
    remarks = []
    found = [(m.topic, m.time) for m in read_messages(file, remark=remarks.append)]
    assert 0 < len(found) < len(original)
    assert set(found) <= set(original)
    assert "breaks off after message" in remarks[0]
    assert ".recover" in remarks[0]


def test_what_a_killed_recorder_left_in_a_log_beside_the_file_is_read(kinds, tmp_path):
    source, live = tmp_path / "live.db3", tmp_path / "killed.db3"
    shutil.copyfile(kinds[".db3"], source)
    with contextlib.closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE messages SET timestamp = timestamp + 1")
        connection.commit()
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{source}{suffix}", f"{live}{suffix}")
    before = sorted(os.listdir(tmp_path))
    times = [m.time for m in read_messages(live)]
    assert times == [m.time + 1 for m in read_messages(kinds[".db3"])]
    assert sorted(os.listdir(tmp_path)) == before


def test_a_damaged_metadata_file_hinders_nobody(sqlite_bag, tmp_path):
    path = shutil.copytree(sqlite_bag, tmp_path / "bag")
    (path / "metadata.yaml").write_bytes(b"\xff{[: not yaml")
    assert len(list(read_messages(path))) == len(list(read_messages(sqlite_bag)))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE topics", "has no table topics"),
        ("UPDATE messages SET topic_id = 99", "no topic"),
        ("UPDATE messages SET data = 'text'", "no data"),
        ("UPDATE topics SET name = x'ff'", "other values than names"),
        ("UPDATE message_definitions SET encoded_message_definition = 'float [[ x'", "definition"),
    ],
)
def test_tables_that_are_not_a_bags_are_refused(kinds, tmp_path, statement, said):
    file = tmp_path / "odd.db3"
    shutil.copyfile(kinds[".db3"], file)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()
    with pytest.raises(BagError, match=said):
        read_steps(file)


def test_a_view_that_would_compute_for_ever_is_no_table(tmp_path):
    file = tmp_path / "view.db3"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE topics(id INTEGER, name TEXT, type TEXT)")
        connection.execute(
            "CREATE VIEW messages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) "
            "SELECT 1 AS topic_id, i AS timestamp, x'00' AS data FROM n"
        )
        connection.commit()
    with pytest.raises(BagError, match="has no table messages"):
        list(SqliteFile(file).messages())


def test_absent_steps_of_many_episodes_are_refused_before_they_take_memory(tmp_path):
    last = 900_000

    def change(topic, message):
        if topic == "vla_signals":
            message = dataclasses.replace(message, step=last, episode=message.step + 1)
        return [] if topic == "episode" else [(0, message)]

    path = copy(tmp_path / "bag", change)
    tracemalloc.start()
    with pytest.raises(BagError, match="steps are not in the bag"):
        read_steps(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_BYTES
