# SPDX-License-Identifier: Apache-2.0
"""Processes beside a robot are killed and stopped at random: no old command, a hold in time.

A few faults run with the other tests; many run by hand, with `-m slow -s`.
"""

import os
import random
import signal
import time
from collections import Counter

import numpy as np
import pytest
import rclpy
from breaking import PERIOD, Processes, RobotSide, left_behind
from foreign_robot import PARAMETERS, TOPICS, ForeignRobot, policy_for, start_monitor, with_policies

pytestmark = pytest.mark.ros

WATCHED = ("vla_node", "predictor_node", "supervisor_node")


@pytest.fixture(scope="module")
def cell(ros2, tmp_path_factory):
    """monitor.launch.py beside a robot of 30 Hz; what ends is told and ends nothing else."""
    folder = tmp_path_factory.mktemp("cell")
    environment = with_policies({**ros2, "SALUS_TEST_MARKER": str(folder)})
    policy = policy_for(6, folder / "policy")
    process, log = start_monitor(
        environment,
        folder,
        PARAMETERS,
        *("policy:=numpy_backend:NumpyBackend", f"checkpoint:={policy}"),
        *("instruction:=sort", "on_exit:=report"),
        *TOPICS,
    )
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    robot, side = ForeignRobot(context), RobotSide(context)
    processes = Processes(log, environment, folder)
    wait_for(lambda: len(side.moving(0)) > 30, 120, log)
    yield side, processes
    robot.close()
    processes.close()
    process.send_signal(signal.SIGINT)
    process.wait(60)
    side.close()
    rclpy.try_shutdown(context=context)
    assert left_behind(f"SALUS_TEST_MARKER={folder}") == []


def wait_for(condition, seconds, log, side=None):
    end = time.monotonic() + seconds
    while not condition():
        told = (side.error, side.problems[-5:]) if side else ""
        assert time.monotonic() < end, f"not within {seconds} s: {told}\n{log.read_text()[-2000:]}"
        time.sleep(0.01)


def serve(side, log):
    """Wait until all nodes are there and the robot moves steadily."""
    wait_for(lambda: side.nodes() >= {"vla", "predictor", "supervisor"}, 60, log, side)
    since = time.monotonic()
    wait_for(lambda: len(side.moving(since)) > 20, 60, log, side)


def break_cell(side, processes, name, stop, rng):
    """One fault and what followed."""
    log = processes.log
    serve(side, log)
    time.sleep(rng.uniform(0.0, PERIOD))
    launched = not stop and not processes.was_started_again(name)
    before, begun = log.read_text(), time.monotonic()
    if stop:
        pid = processes.pid(name)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(rng.uniform(1.0, 3.5))
        os.kill(pid, signal.SIGCONT)
    else:
        processes.kill(name)
        time.sleep(1.2)
        processes.start(name)
    serve(side, log)
    result = {
        "node": name,
        "stop": stop,
        "stale": len(side.stale(begun)),
        "burst": side.burst(begun),
        "hold": side.hold_after(begun),
    }
    if name == "vla_node" or (stop and name == "supervisor_node"):
        named = side.said(begun, "no fresh proposal for")
    elif launched:
        named = "ended with code -9" in log.read_text()[len(before) :]
    else:
        named = None  # started by this test, or a predictor without checkpoint: nobody misses it
    return {**result, "named": named}


def check_cell(results):
    holds = np.array([r["hold"] for r in results if r["node"] == "vla_node"], dtype=float)
    print(f"\n{len(results)} faults: {dict(Counter((r['node'], r['stop']) for r in results))}")
    print(f"stale commands: {sum(r['stale'] for r in results)}")
    print(f"most commands within 100 ms: {max(r['burst'] for r in results)}")
    if len(holds):
        print(f"hold after [ms]: {np.round(1e3 * np.percentile(holds, [0, 50, 90, 100]), 1)}")
    asked = [r["named"] for r in results if r["named"] is not None]
    print(f"cause named: {sum(asked)} of {len(asked)}")
    assert [r for r in results if r["stale"]] == []
    assert [r for r in results if r["burst"] > 5] == []
    assert asked
    assert all(asked)
    return holds


def test_no_fault_of_a_process_moves_the_robot_by_something_old(cell):
    rng = random.Random(1)
    faults = [("vla_node", False), ("supervisor_node", True), ("vla_node", True)]
    check_cell([break_cell(*cell, name, stop, rng) for name, stop in faults])


@pytest.mark.slow
def test_many_faults_beside_a_robot(cell):
    rng = random.Random(2)
    faults = [(rng.choice(WATCHED), False) for _ in range(75)]
    faults += [(rng.choice(WATCHED), True) for _ in range(30)]
    rng.shuffle(faults)
    results = []
    for name, stop in faults:
        results.append(break_cell(*cell, name, stop, rng))
        print(results[-1], flush=True)
    holds = check_cell(results)
    assert (holds < 0.1).mean() >= 0.99
