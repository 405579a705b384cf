# SPDX-License-Identifier: Apache-2.0
"""A collection whose policy is behind a server that dies in the middle of an episode."""

import sys
from pathlib import Path

import numpy as np
import pytest

from salus_core.episode_store import open_run

pytestmark = pytest.mark.ros

POLICIES = Path(__file__).resolve().parents[2] / "salus_policies/test"


@pytest.fixture
def server(tmp_path):
    sys.path.insert(0, str(POLICIES))
    try:
        from numpy_backend import make_checkpoint
        from policy_server import ServerProcess
    finally:
        sys.path.remove(str(POLICIES))
    policy = make_checkpoint(tmp_path / "policy", size=(256, 256))
    process = ServerProcess(policy, "numpy_backend:MortalBackend").start()
    yield process
    process.stop()


def test_the_world_holds_while_the_policy_is_gone_and_goes_on_when_it_is_back(begin, server):
    collection = begin("policy:=remote", f"checkpoint:={server.address}", "episodes:=1", "seed:=3")
    collection.read_until("no action for episode 1 step 5: policy server")
    server.stop()
    server.start()
    code, output = collection.finish(timeout=300)
    assert code == 0, output[-4000:]
    (run,) = collection.runs.iterdir()
    (episode,) = open_run(run)
    assert episode.length > 10
    assert 1 <= episode.commands_missed < 5
    # Nothing was proposed where the policy was gone; before and after it was.
    complete = episode["complete"]
    assert complete[:5].all()
    assert not complete[5]
    assert complete[10:].all()
    assert np.isfinite(episode["action"][complete]).all()
