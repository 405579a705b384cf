# SPDX-License-Identifier: Apache-2.0
"""Processes of a collection are killed and stopped at random: no episode is lost or torn.

One stop runs with the other tests; many faults run by hand, with `-m slow -s`.
"""

import os
import random
import signal
import time

import numpy as np
import pytest
from breaking import alive

from salus_core.episode_store import open_run

pytestmark = pytest.mark.ros

NODES = (
    *("world_node", "referee_node", "vla_node", "predictor_node", "supervisor_node"),
    *("recorder_node", "episode_runner"),
)


def kill_in_collection(begin, name, rng):
    """Kill a process of a collection at random: what was committed is there and whole."""
    collection = begin("episodes:=1000", "difficulty:=easy", f"seed:={rng.randrange(1000)}")
    collection.read_until("episode 1/1000")
    time.sleep(rng.uniform(0.0, 4.0))
    os.kill(collection.pids()[name], signal.SIGKILL)
    code, output = collection.finish()
    assert code == 1, output[-3000:]
    assert f"{name}-" in output
    assert "code -9" in output, output[-3000:]
    assert not [pid for pid in collection.pids().values() if alive(pid)]
    told = output.count("/1000  ")
    (run,) = collection.runs.iterdir()
    episodes = open_run(run)
    assert len(episodes) >= told - 1, output[-3000:]
    for episode in episodes:
        steps = episode["step"]
        assert (steps == np.arange(len(steps))).all()
        assert np.isfinite(episode["command"]).all()
    return len(episodes)


def stop_in_collection(begin, name, rng):
    """Stop a process of a collection for a while: in lockstep the episode is the same."""
    collection = begin("episodes:=2", "difficulty:=easy", "seed:=4")
    collection.read_until("episode 1/2")
    time.sleep(rng.uniform(0.0, 1.0))
    pid = collection.pids()[name]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(rng.uniform(0.5, 3.0))
    os.kill(pid, signal.SIGCONT)
    code, output = collection.finish()
    assert code == 0, output[-3000:]
    (run,) = collection.runs.iterdir()
    return open_run(run)


@pytest.fixture(scope="module")
def undisturbed(begin):
    collection = begin("episodes:=2", "difficulty:=easy", "seed:=4")
    code, output = collection.finish()
    assert code == 0, output[-3000:]
    (run,) = collection.runs.iterdir()
    return open_run(run)


def require_same(run, undisturbed):
    assert len(run) == len(undisturbed) == 2
    for found, expected in zip(run, undisturbed, strict=True):
        for key in ("action", "command", "state", "signals"):
            np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


def test_a_process_that_is_stopped_for_a_while_changes_nothing_in_lockstep(begin, undisturbed):
    rng = random.Random(3)
    require_same(stop_in_collection(begin, rng.choice(NODES), rng), undisturbed)


@pytest.mark.slow
def test_many_kills_in_collections_lose_and_tear_no_committed_episode(begin):
    rng = random.Random(4)
    whole = 0
    for count in range(75):
        name = rng.choice(NODES)
        whole += kill_in_collection(begin, name, rng)
        print(f"{count + 1} kills, {whole} committed episodes whole, last: {name}", flush=True)


@pytest.mark.slow
def test_many_stops_in_collections_change_nothing_in_lockstep(begin, undisturbed):
    rng = random.Random(5)
    for count in range(10):
        name = rng.choice(NODES)
        require_same(stop_in_collection(begin, name, rng), undisturbed)
        print(f"{count + 1} stops, last: {name}", flush=True)
