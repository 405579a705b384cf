import json

import numpy as np
import pytest

from salus_vla_node.backends.embedded.config import EmbeddedConfig
from salus_vla_node.backends.embedded.ensemble import EmbeddedEnsemble
from salus_vla_node.training import train_policy
from salus_vla_node.training.rollout import Frames
from salus_vla_node.training.trainer import Batches

TINY = [
    *("--members", "2", "--demos", "2", "--rounds", "1", "--round-episodes", "1"),
    *("--updates", "30", "20", "20", "--batch", "16", "--evaluate", "2"),
]  # fmt: skip


def frames(lengths):
    count, config = sum(lengths), EmbeddedConfig()
    size = config.image_size
    return Frames(
        images=np.zeros((count, 2, size, size, 3), np.uint8),
        proprioception=np.zeros((count, len(config.proprioception)), np.float32),
        tokens=np.ones((count, 16), np.int64),
        action=np.repeat(np.arange(count, dtype=np.float32)[:, None], 7, 1),
        scene=np.zeros((count, len(config.scene_targets)), np.float32),
        episode=np.repeat(np.arange(len(lengths)), lengths),
    )


def test_chunks_repeat_an_episodes_last_action_and_never_reach_into_the_next():
    data = frames([5, 30])
    _, _, _, _, chunks, _ = Batches(data, EmbeddedConfig(), seed=0, size=200).draw()
    first = chunks[:, 0, 0].numpy()
    ends = np.where(first < 5, 4, 34)
    expected = np.minimum(first[:, None] + np.arange(8), ends[:, None])
    assert np.array_equal(chunks[:, :, 0].numpy(), expected)


def test_joined_frames_keep_their_episodes_apart(tmp_path):
    joined = Frames.join([frames([3, 4]), frames([2])])
    assert joined.episode.tolist() == [0] * 3 + [1] * 4 + [2] * 2
    joined.save(tmp_path / "f.npz")
    assert np.array_equal(Frames.load(tmp_path / "f.npz").action, joined.action)


@pytest.mark.slow
def test_a_small_training_gives_an_ensemble_and_resumes(tmp_path):
    arguments = ["--work", str(tmp_path), *TINY]
    assert train_policy.main(arguments) == 0
    output = tmp_path / "ensemble"
    assert EmbeddedEnsemble.from_pretrained(output).members == 2
    report = json.loads((output / "training_report.json").read_text())
    assert set(report["members"]["member_1"]) == {"clone", "round_1", "last"}
    weights = output / "member_0" / "model.safetensors"
    before = weights.read_bytes()
    done = tmp_path / "member_0" / "last" / "report.json"
    stamp = done.stat().st_mtime_ns
    assert train_policy.main(arguments) == 0
    assert done.stat().st_mtime_ns == stamp
    assert weights.read_bytes() == before
