# SPDX-License-Identifier: Apache-2.0
"""The episodes of known seeds are those that were recorded before.

golden/episodes.json holds what `summary` makes of a data set of seeds 0 to 19 that was collected
when every step still passed through ROS messages.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from salus_core.episode_store import Episode, open_dataset
from salus_core.failures import Outcome
from salus_studies.collection.episode import EpisodeCollector
from salus_studies.collection.settings import Settings

GOLDEN = json.loads((Path(__file__).parent / "golden" / "episodes.json").read_text())
EVERY = 8
"""Steps between those that are kept."""
TOLERANCE = {"action": 3e-3, "command": 3e-3, "tool": 3e-3, "object": 3e-3}
"""Largest difference [m, rad, 1; m]: a processor of another kind adds up in another order."""
BEGINNING = 4
"""So many of the kept steps agree in every episode: the arm has touched nothing yet."""
STEADY = ("0", "1", "2", "3", "5", "7", "8", "11", "14", "16", "17")
"""Seeds whose episodes agree to their end. In the others a contact makes more of the last bit:
with the instructions of older processors (ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41
MKL_CBWR=COMPATIBLE) the target stayed in the hand in 6 and 19, and they end up to two steps apart
in 9, 12, 15 and 18."""
FEW = ("0", "11", "17")
"""A success, a missed grasp, a collision."""


def summary(episode: Episode) -> dict:
    """What of an episode is compared: plain values."""
    rows = slice(None, None, EVERY)
    target = list(episode.run.attributes["object_names"]).index(episode.target_object)
    return {
        "task": episode.task,
        "outcome": Outcome(episode.outcome).name.lower(),
        "failure": episode.failure_name,
        "onset": int(episode.onset_step),
        "steps": int(episode.length),
        "faults": [fault.kind for fault in episode.faults],
        "action": np.round(episode["action"][rows], 5).tolist(),
        "command": np.round(episode["command"][rows], 5).tolist(),
        "tool": np.round(episode["state"][rows, -7:-4], 5).tolist(),
        "object": np.round(episode["object_pose"][rows, target, :3], 5).tolist(),
    }


def same_episodes(folder, seeds, environments):
    collector = EpisodeCollector(Settings(), folder, "golden", {}, environments)
    try:
        results = list(collector.collect([int(seed) for seed in seeds]))
    finally:
        collector.close()
    assert sorted(result.seed for result in results) == sorted(int(seed) for seed in seeds)
    for episode in open_dataset(folder):
        seed = str(episode.seed)
        found, wanted = summary(episode), GOLDEN[seed]
        compared = set(wanted) if seed in STEADY else {"task", *TOLERANCE}
        for name in compared - set(TOLERANCE):
            assert found[name] == wanted[name], f"seed {seed}: {name}"
        rows = None if seed in STEADY else BEGINNING
        for name, tolerance in TOLERANCE.items():
            np.testing.assert_allclose(
                found[name][:rows],
                wanted[name][:rows],
                rtol=0,
                atol=tolerance,
                err_msg=f"seed {seed}: {name}",
            )


def test_a_few_seeds_give_the_episodes_of_before(tmp_path):
    assert {GOLDEN[seed]["outcome"] for seed in FEW} == {"succeeded", "failed"}
    same_episodes(tmp_path, FEW, environments=2)


@pytest.mark.slow
def test_twenty_seeds_give_the_episodes_of_before(tmp_path):
    same_episodes(tmp_path, list(GOLDEN), environments=1)
