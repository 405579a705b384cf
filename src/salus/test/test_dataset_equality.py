# SPDX-License-Identifier: Apache-2.0
"""What the command dataset collects is what the nodes would have recorded."""

from pathlib import Path

import numpy as np
import pytest

import salus_predictor_node
from salus_core.episode_store import open_dataset, open_run
from salus_studies.collection import dataset

SEED, EPISODES = 7, 2
PREDICTOR = Path(salus_predictor_node.__file__).parent / "weights" / "default"
FORECASTS = {"forecast", "forecast_risk", "forecast_score", "forecast_band"}
"""Compared within 1e-6; all else to the last bit."""
# Not compared: clocks, and the name by which the predictor was asked for.
OWN_OF_EPISODE = {"run", "index", "start_time", "predictor"}


@pytest.mark.slow
@pytest.mark.ros
@pytest.mark.parametrize("table", ["", "tabletop"])
def test_the_same_seeds_give_the_same_episodes_as_the_nodes(launch, tmp_path, table):
    code, output = launch(
        "collect.launch.py",
        f"interventions:={table}",
        f"episodes:={EPISODES}",
        f"seed:={SEED}",
        f"output:={tmp_path / 'nodes'}",
        "faults:=heavy",
        "predictor:=default",
    )
    assert code == 0, output[-6000:]
    (path,) = (tmp_path / "nodes").iterdir()
    nodes = open_run(path)

    arguments = ["--episodes", str(EPISODES), "--seed", str(SEED), "--profile", "heavy"]
    arguments += ["--predictor", str(PREDICTOR), "--cameras", *nodes.cameras]
    arguments += ["--interventions", table] if table else []
    output = tmp_path / "process"
    assert dataset.main([*arguments, "--workers", "1", "--output", str(output)]) == 0
    process = open_dataset(output)

    assert len(nodes) == len(process) == EPISODES
    for one, other in zip(nodes, process, strict=True):
        for name in set(vars(one)) - OWN_OF_EPISODE:
            assert getattr(one, name) == getattr(other, name) or name == "goal_pose", name
        np.testing.assert_array_equal(one.goal_pose, other.goal_pose)
        assert np.isfinite(one["forecast"]).all()
        for key in nodes.step_keys:
            tolerance = 1e-6 if key in FORECASTS else 0.0
            np.testing.assert_allclose(one[key], other[key], rtol=0, atol=tolerance, err_msg=key)
        for camera in nodes.cameras:
            np.testing.assert_array_equal(one.images(camera), other.images(camera))
    same = set(nodes.attributes) - {"cameras"}
    assert {k: nodes.attributes[k] for k in same} == {
        k: process.runs[0].attributes[k] for k in same
    }
