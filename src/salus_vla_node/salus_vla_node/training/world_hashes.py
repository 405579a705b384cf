"""What training and study depend on beside their options: the scene and who teaches in it."""

from pathlib import Path

from salus_sim import experts
from salus_sim.scene import scene_hash
from salus_vla_node.backends.base import hash_files


def world_hashes() -> dict[str, str]:
    """SHA-256 of the scene file and of the experts' sources, by what they are of."""
    folder = Path(experts.__file__).parent
    return {"scene": scene_hash(), "experts": hash_files(folder, folder.glob("*.py"))}
