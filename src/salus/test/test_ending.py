# SPDX-License-Identifier: Apache-2.0
"""How a collection ends when it does not end by itself, and that two of them do not mix."""

import os
import re
import signal

import pytest
from breaking import alive

from salus_core.episode_store import open_run

pytestmark = pytest.mark.ros


def test_ctrl_c_ends_every_process_and_keeps_what_is_committed(begin):
    collection = begin("episodes:=1000", "difficulty:=easy")
    collection.read_until("episode 1/1000")
    collection.stop()
    _, output = collection.finish()
    assert "Traceback" not in output
    assert not [pid for pid in collection.pids().values() if alive(pid)]
    (run,) = collection.runs.iterdir()
    assert len(open_run(run)) >= 1


@pytest.mark.parametrize("victim", ["supervisor_node", "world_node"])
def test_a_node_that_dies_ends_everything_with_code_1(begin, victim):
    collection = begin("episodes:=1000", "difficulty:=easy")
    collection.read_until("episode 1/1000")
    os.kill(collection.pids()[victim], signal.SIGKILL)
    code, output = collection.finish()
    assert code == 1
    assert re.search(rf"{victim}-\d+ ended with code -9", output)
    assert not [pid for pid in collection.pids().values() if alive(pid)]


def test_two_worlds_run_side_by_side_in_two_namespaces(begin):
    collections = []
    for name, seed in (("left", 11), ("right", 22)):
        arguments = (f"namespace:={name}", "clock:=clock", f"seed:={seed}", "episodes:=1")
        collections.append(begin(*arguments, "difficulty:=easy"))
    for collection, seed in zip(collections, (11, 22), strict=True):
        code, output = collection.finish(timeout=300)
        assert code == 0, output[-4000:]
        assert f"seed {seed}" in output
        assert "commands missed   0" in output


def test_two_collections_in_one_namespace_both_name_the_other(begin):
    first = begin("episodes:=1000", "difficulty:=easy", "namespace:=same")
    first.read_until("episode 1/1000")
    second = begin("episodes:=1000", "difficulty:=easy", "namespace:=same")
    for collection in (first, second):
        collection.read_until("(a second graph, or a process")
        assert "a namespace or ROS_DOMAIN_ID of its own" in collection.lines[-1]
    for collection in (first, second):
        collection.stop()
        collection.finish()
