"""What the command dataset collects is what the nodes would have recorded."""

import numpy as np
import pytest

from salus_core.episode_store import open_dataset, open_run
from salus_studies.collection import dataset

SEED, EPISODES = 7, 2
# Not compared: clocks, and what only a forecasting node says.
OWN = {"forecast_status"}
OWN_OF_EPISODE = {"run", "index", "start_time", "predictor", "predictor_hash"}


@pytest.mark.slow
@pytest.mark.ros
def test_the_same_seeds_give_the_same_episodes_as_the_nodes(launch, tmp_path):
    code, output = launch(
        "collect.launch.py",
        f"episodes:={EPISODES}",
        f"seed:={SEED}",
        f"output:={tmp_path / 'nodes'}",
        "faults:=heavy",
        "predictor:=none",
    )
    assert code == 0, output[-6000:]
    (path,) = (tmp_path / "nodes").iterdir()
    nodes = open_run(path)

    arguments = ["--episodes", str(EPISODES), "--seed", str(SEED), "--profile", "heavy"]
    cameras = ["--cameras", *nodes.cameras]
    output = tmp_path / "process"
    assert dataset.main([*arguments, *cameras, "--workers", "1", "--output", str(output)]) == 0
    process = open_dataset(output)

    assert len(nodes) == len(process) == EPISODES
    for one, other in zip(nodes, process, strict=True):
        for name in set(vars(one)) - OWN_OF_EPISODE:
            assert getattr(one, name) == getattr(other, name) or name == "goal_pose", name
        np.testing.assert_array_equal(one.goal_pose, other.goal_pose)
        for key in set(nodes.step_keys) - OWN:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)
        for camera in nodes.cameras:
            np.testing.assert_array_equal(one.images(camera), other.images(camera))
    same = set(nodes.attributes) - {"cameras"}
    assert {k: nodes.attributes[k] for k in same} == {
        k: process.runs[0].attributes[k] for k in same
    }
