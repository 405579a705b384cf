# SPDX-License-Identifier: Apache-2.0
"""What training and study depend on beside options: the scene, its rules, who teaches in it."""

from pathlib import Path

from salus_policies.backends.base import hash_files
from salus_sim import experts, scenario, slip, tasks
from salus_sim.scene import scene_hash


def world_hashes() -> dict[str, str]:
    """SHA-256 of the scene file and of the sources of rules and experts, by what they are of."""
    folder = Path(experts.__file__).parent
    rules = [Path(module.__file__) for module in (scenario, slip, tasks)]
    return {
        "scene": scene_hash(),
        "rules": hash_files(rules[0].parent, rules),
        "experts": hash_files(folder, folder.glob("*.py")),
    }
