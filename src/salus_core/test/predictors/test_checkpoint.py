# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import shutil

import numpy as np
import pytest

from salus_core.predictors.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from salus_core.predictors.features import StepInputs
from salus_core.predictors.model import MismatchError


@pytest.fixture(scope="session")
def saved(temporal, tmp_path_factory):
    return save_checkpoint(temporal, tmp_path_factory.mktemp("saved"), {"metrics": {"a": 1}})


def test_what_is_loaded_gives_the_same_forecasts(temporal, saved, steps):
    loaded, manifest = load_checkpoint(saved)
    np.testing.assert_allclose(loaded.scores(steps[1]), temporal.scores(steps[1]), atol=1e-5)
    assert loaded.hash == temporal.hash
    assert loaded.weights_hash == manifest["weights_sha256"] == temporal.weights_hash
    assert loaded.band.edge(3) == temporal.band.edge(3)
    assert manifest["metrics"] == {"a": 1}


NETWORKS = {"gru": {"core": "gru"}, "outlook": {"core": "gru", "outcome_head": True}}
NETWORKS |= {"tcn_outlook": {"outcome_head": True}, "free": {"core": "gru", "learned_features": 3}}
NETWORKS |= {
    "hidden": {"core": "gru", "learned_features": 3, "projection_width": 12},
    "tcn_hidden": {"projection_width": 12},
}


@pytest.mark.parametrize("name", ["temporal", *NETWORKS, "mlp", "mvp", "safe_mlp", "safe_lstm"])
def test_step_by_step_gives_the_same_numbers_as_all_at_once(name, train, saved, steps, tmp_path):
    if name == "temporal":
        folder = saved
    else:
        small = [part.select(np.arange(16)) for part in steps[:2]]
        kind = "temporal" if name in NETWORKS else name
        predictor, _ = train(kind, 1, small, network=NETWORKS.get(name, {}))
        folder = save_checkpoint(predictor, tmp_path)
    predictor, _ = load_checkpoint(folder)
    data = steps[1].select(np.arange(4))
    data.signals[5:8] = np.nan
    data.valid[5:8] = False
    data.embedding[30] = np.nan
    offline, score = predictor.forecasts(data)
    stream = predictor.stream()
    stream.remembers = True
    for _, rows in data.iterate():
        stream.reset()
        for row in range(rows.start, rows.stop):
            step = StepInputs.of(data, row)
            np.testing.assert_allclose(stream.update(step), offline[row], rtol=0, atol=1e-6)
            assert stream.score == pytest.approx(score[row], rel=0, abs=1e-6)
            if row % 5 == 0:  # what other actions would lead to changes nothing
                asked = stream.risks_of(step, np.array([step.action, step.action + 1.0]))
                assert asked[0] == stream.score


def test_a_skipped_step_is_one_of_which_nothing_is_known(saved, steps):
    predictor, _ = load_checkpoint(saved)
    data = steps[1].select(np.arange(1))
    for array in (data.signals, data.proprioception, data.action, data.action_std, data.embedding):
        array[20] = np.nan
    data.valid[20] = False
    stream = predictor.stream()
    for row in range(30):
        found = stream.skip() if row == 20 else stream.update(StepInputs.of(data, row))
    np.testing.assert_allclose(found, predictor.scores(data)[29], atol=1e-6)
    assert not stream.warming_up


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_hash": "another"}, "schema_hash is another, trained with made up"),
        ({"members": 3}, "members is 3, trained with 2"),
        ({"control_period": 0.05}, "control_period is 0.05"),
        ({"policies": (("new", "ff"),)}, r"policy_hash is ff \('new'\), trained with 00"),
    ],
)
def test_data_of_another_policy_are_refused_with_the_difference(saved, steps, change, message):
    predictor, _ = load_checkpoint(saved)
    with pytest.raises(MismatchError, match=message):
        predictor.scores(dataclasses.replace(steps[1], **change))


def test_a_predictor_without_latent_takes_any_policy_of_the_same_schema(train, steps):
    small = [part.select(np.arange(16)) for part in steps[:2]]
    predictor, _ = train("mlp", 1, small)
    predictor.scores(dataclasses.replace(small[1], policies=(("new", "ff"),)))


@pytest.mark.parametrize("change", ["[]", {"layout": []}, {"weights_sha256": None}, {"source": 1}])
def test_a_manifest_of_another_shape_is_refused_by_name(saved, tmp_path, change):
    folder = tmp_path / "damaged"
    shutil.copytree(saved, folder)
    manifest = folder / "manifest.json"
    if isinstance(change, dict):
        change = json.dumps({**json.loads(manifest.read_text()), **change})
    manifest.write_text(change)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        load_checkpoint(folder)


def test_damaged_or_foreign_checkpoints_are_refused(saved, temporal, tmp_path):
    with pytest.raises(CheckpointError, match="not found"):
        load_checkpoint(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"no manifest.json"):
        load_checkpoint(tmp_path)
    folder = save_checkpoint(temporal, tmp_path / "copy")
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match="is not the file that"):
        load_checkpoint(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 9}))
    with pytest.raises(CheckpointError, match="has format 9"):
        load_checkpoint(folder)


def test_the_alarm_of_calibration_episodes_is_rare(temporal, steps):
    assert temporal.band.alpha == 0.05
    assert temporal.band.episodes > 10
    assert temporal.drift.names[0] == "action_volatility"


def as_format_1(folder, to):
    """A copy of a checkpoint with the manifest that format 1 had."""
    shutil.copytree(folder, to)
    manifest = json.loads((to / "manifest.json").read_text())
    source = manifest["source"]
    for name in ("action_names", "action_kinds"):
        del source[name]
    manifest |= {
        "format": 1,
        "horizons": source.pop("horizons"),
        "failure_names": ["collision", "drop", "miss", "timeout"],
    }
    del source["failure_names"]
    (to / "manifest.json").write_text(json.dumps(manifest))
    return manifest


def test_a_checkpoint_of_format_1_is_read_with_the_present_names(saved, steps, tmp_path):
    as_format_1(saved, tmp_path / "old")
    (now, _), (old, _) = load_checkpoint(saved), load_checkpoint(tmp_path / "old")
    assert old.source == now.source
    assert old.layout == now.layout
    np.testing.assert_array_equal(old.scores(steps[1]), now.scores(steps[1]))


def test_a_checkpoint_of_format_1_with_other_horizons_is_refused(saved, tmp_path):
    manifest = as_format_1(saved, tmp_path / "old")
    (tmp_path / "old" / "manifest.json").write_text(json.dumps({**manifest, "horizons": [1.0]}))
    with pytest.raises(CheckpointError, match=r"horizons is \[1\.0\], but format 1 has \[0\.2"):
        load_checkpoint(tmp_path / "old")
