# SPDX-License-Identifier: Apache-2.0
"""Robots of other shapes: written, read, trained on, evaluated, and forecast step by step."""

import dataclasses
import json

import numpy as np
import pytest
from made_up_runs import write_runs

from salus_core.actions import TOOL_MOTION, ActionSpec
from salus_core.commands import evaluate, inspect, train
from salus_core.data import DataError, read_steps
from salus_core.data.testing import make_steps
from salus_core.episode_store import open_run
from salus_core.failures import BUILT_IN, FAILURE_NAMES, Taxonomy
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.predictors.features import StepInputs
from salus_core.predictors.model import MismatchError

ARMS = ActionSpec.of(
    [f"{side}_{name}" for side in ("left", "right") for name in (*"abcdef", "gripper")],
    [*["rad"] * 6, "1"] * 2,
    [*["joint_position"] * 6, "gripper"] * 2,
    [0.05] * 14,
)
BASE = ActionSpec.of(
    ("x", "y", "yaw", "gripper"), ("m/s", "m/s", "rad/s", "1"), [*["base"] * 3, "gripper"]
)
SPILLING = Taxonomy((*FAILURE_NAMES, "spill"), ("",) * 4 + ("liquid leaves the cup",))
SHAPES = {
    "14 at 50 Hz": {
        "action": ARMS,
        "period": 0.02,
        "horizons": (0.1, 0.2, 0.4),
        "joint_names": ARMS.names,
    },
    "4 at 10 Hz": {
        "action": BASE,
        "period": 0.1,
        "horizons": (0.5, 1.0),
        "taxonomy": SPILLING,
        "joint_names": ("wheel",),
    },
}


@pytest.fixture(scope="module", params=SHAPES)
def shape(request, tmp_path_factory):
    """Data, the run that they were written to, its splits, and the settings of the data."""
    given = SHAPES[request.param]
    data = make_steps(140, seed=3, failing=0.6, **given)
    runs, splits = write_runs(tmp_path_factory.mktemp("runs"), data)
    return data, runs, splits, given


@pytest.fixture(scope="module")
def checkpoint(shape, tmp_path_factory):
    """Trained for an epoch by the command."""
    _, runs, splits, given = shape
    output = tmp_path_factory.mktemp("trained")
    arguments = [
        "temporal",
        f"data.runs=[{runs}]",
        f"data.splits={splits}",
        f"data.horizons={list(given['horizons'])}",
        f"output={output}",
        "training.epochs=1",
        "training.auxiliary_weight=0",
        "network.width=8",
        "network.projection=4",
        "calibration.alpha=0.3",
    ]
    assert train.main(arguments) == 0
    return output / "checkpoint"


def test_what_was_written_is_read_in_its_own_shape(shape):
    data, runs, _, given = shape
    found = read_steps(runs, chunks=True, horizons=given["horizons"])
    for name in ("action", "action_std", "proprioception", "chunk", "labels", "label_valid"):
        np.testing.assert_array_equal(getattr(found, name), getattr(data, name), err_msg=name)
    assert found.action_spec == data.action_spec
    assert (found.taxonomy, found.horizons) == (data.taxonomy, data.horizons)
    assert found.labels.shape[1:] == (len(given["horizons"]), data.taxonomy.size)
    assert found.labels.any(axis=(0, 1))[-1] == ("spill" in data.taxonomy.names)
    (run,) = (open_run(path) for path in runs.iterdir() if path.is_dir())
    names = {episode.failure_name for episode in run}
    assert names == {"", *(data.taxonomy.name(code) for code in data.taxonomy.main)}
    assert run.array("forecast").shape[1] == len(given["horizons"]) * data.taxonomy.size


def test_labels_have_the_horizons_that_are_asked_for(shape):
    data, runs, _, _ = shape
    assert read_steps(runs, horizons=(1.0, 3.0)).labels.shape[1] == 2
    with pytest.raises(DataError, match="below one step of"):
        read_steps(runs, horizons=(0.4 * data.control_period, 1.0))
    with pytest.raises(DataError, match="must be ascending"):
        read_steps(runs, horizons=(1.0, 0.5))


def test_step_by_step_gives_the_same_forecasts_as_all_at_once(shape, checkpoint):
    data, _, _, given = shape
    predictor, manifest = load_checkpoint(checkpoint)
    assert manifest["format"] == 2
    assert predictor.horizons == given["horizons"]
    assert predictor.taxonomy.names == data.taxonomy.names
    part = data.select(np.arange(3))
    part.action[4] = np.nan
    offline, score = predictor.forecasts(part)
    assert offline.shape[1:] == (len(given["horizons"]), data.taxonomy.size)
    stream = predictor.stream()
    for _, rows in part.iterate():
        stream.reset()
        for row in range(rows.start, rows.stop):
            found = stream.update(StepInputs.of(part, row))
            np.testing.assert_allclose(found, offline[row], rtol=0, atol=1e-6)
            assert stream.score == pytest.approx(score[row], rel=0, abs=1e-6)
    stream.skip()


def test_the_report_names_the_types_and_horizons_of_the_data(shape, checkpoint, tmp_path):
    data, _, _, given = shape
    arguments = [str(checkpoint), "--output", str(tmp_path), "--replicates", "20"]
    assert evaluate.main(arguments) == 0
    found = json.loads((tmp_path / "metrics.json").read_text())
    figures = found["methods"]["temporal"]["steps"]["all"]
    wanted = [*data.taxonomy.names, "any", "any_but_timeout"]
    assert set(figures) == {f"{one}@{h:g}s" for one in wanted for h in given["horizons"]}
    assert set(found["data"]["test"]["failures"]) == set(data.taxonomy.names)
    document = (tmp_path / "report.md").read_text()
    assert ("| spill |" in document) == ("spill" in data.taxonomy.names)
    assert f"{given['horizons'][-1]:g} s" in document
    assert "0.3 s |" not in document


def test_inspect_draws_episodes_and_signals(shape, tmp_path, capsys):
    data, runs, _, given = shape
    (run,) = (path for path in runs.iterdir() if path.is_dir())
    for arguments in (
        ["--episode", "0"],
        ["--signals", "--horizons", *map(str, given["horizons"])],
    ):
        picture = tmp_path / f"{len(arguments)}.png"
        assert inspect.main([str(run), *arguments, "--output", str(picture)]) == 0
        assert picture.stat().st_size > 5000
        assert ("spill" in capsys.readouterr().out) == ("spill" in data.taxonomy.names)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (
            "taxonomy",
            Taxonomy((*FAILURE_NAMES, "burn")),
            r"failure_names is .*'burn'.*trained with",
        ),
        ("horizons", (0.5, 3.0), r"horizons is \(0\.5, 3\.0\), trained with \(0\."),
        ("action_spec", TOOL_MOTION, r"action_names is .*'rotation_x'.*trained with"),
    ],
)
def test_a_checkpoint_of_another_shape_is_refused_with_both_named(
    shape, checkpoint, field, value, said
):
    predictor, _ = load_checkpoint(checkpoint)
    with pytest.raises(MismatchError, match=said):
        predictor.scores(dataclasses.replace(shape[0].select(np.arange(2)), **{field: value}))


def test_runs_of_other_failure_types_or_actions_are_no_data_set(tmp_path):
    write_runs(tmp_path / "a", make_steps(2))
    write_runs(tmp_path / "b", make_steps(2, taxonomy=SPILLING))
    write_runs(tmp_path / "c", make_steps(2, action=ARMS))
    for other, name in (("b", "failure_names"), ("c", "action_names")):
        with pytest.raises(DataError, match=rf"a/runs/.* and .*{other}/runs/.* {name} is"):
            read_steps([tmp_path / "a" / "runs", tmp_path / other / "runs"])
    assert read_steps(tmp_path / "a" / "runs").taxonomy == BUILT_IN
