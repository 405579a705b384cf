# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from salus_core.data.testing import make_steps
from salus_core.failures import Outcome
from salus_core.predictors.checkpoint import CheckpointError
from salus_core.predictors.features import InputError
from salus_core.predictors.interface import risk
from salus_core.predictors.settings import SettingsError, override
from salus_core.predictors.training.averaging import Averaging
from salus_core.predictors.training.batches import TrainingSet
from salus_core.predictors.training.calibrating import calibrate
from salus_core.predictors.training.configuration import CalibrationSettings, RunSettings
from salus_core.predictors.training.processes import processes
from salus_core.predictors.training.targets import make_targets
from salus_core.predictors.training.trainer import make_predictor
from salus_core.predictors.training.validation import validation_figures


def test_a_failure_that_the_latent_shows_is_foreseen(temporal, steps):
    figures = validation_figures(temporal.raw_scores(steps[2]), steps[2])
    assert figures["auroc"] > 0.9
    assert figures["average_precision"] > 0.5


def test_it_knows_which_failure_it_will_be(temporal, steps):
    data = steps[2]
    scores = temporal.scores(data)
    soon = data.labels[:, 0, :3].any(axis=1)
    right = scores[soon, -1, :3].argmax(1) == data.labels[soon, 0, :3].argmax(1)
    assert right.mean() > 0.7


def test_the_alarm_looks_at_the_outlook_where_there_is_one(train, steps):
    data = steps[2]
    ahead = make_targets(data).ahead
    soon, well = (ahead > 5) & (ahead <= 12), data.episodes.succeeded[data.episode]
    how = {"loss": "survival", "outcome_head_weight": 0.3}
    predictor, _ = train("temporal", epochs=8, network={"outcome_head": True}, training=how)
    found, score = predictor.forecasts(data)
    assert roc_auc_score(soon[soon | well], score[soon | well]) > 0.85
    assert (np.abs(score - risk(found, data.taxonomy.main)) > 0.05).mean() > 0.5
    calibrate(predictor, data, CalibrationSettings())
    table = data.episodes
    edges = predictor.band.edge(data.step)
    rang = [(score[rows] > edges[rows]).any() for _, rows in data.iterate()]
    assert np.mean(np.array(rang)[table.succeeded]) < 0.1 < np.mean(np.array(rang)[table.failed])


def test_an_outlook_that_is_not_learned_is_refused():
    given = {"predictor": "temporal", "network": {"outcome_head": True}}
    with pytest.raises(SettingsError, match=r"training\.outcome_head_weight is not positive"):
        RunSettings.from_mapping({**given, "training": {"outcome_head_weight": 0.0}})


def test_from_shuffled_labels_nothing_is_learned(train):
    data = [make_steps(n, seed=s, shuffled=True) for n, s in ((80, 4), (40, 5))]
    predictor, _ = train("temporal", epochs=3, data=data)
    test = make_steps(300, seed=6, shuffled=True)
    figures = validation_figures(predictor.raw_scores(test), test)
    assert figures["auroc"] == pytest.approx(0.5, abs=0.06)


def test_the_mlp_learns_what_one_signal_tells(train, steps):
    predictor, _ = train("mlp", epochs=6)
    assert validation_figures(predictor.raw_scores(steps[2]), steps[2])["auroc"] > 0.7


@pytest.mark.parametrize("name", ["mvp", "mlp", "safe_mlp", "safe_lstm"])
def test_every_predictor_trains_and_lowers_its_loss(train, steps, name):
    small = [part.select(np.arange(24)) for part in steps[:2]]
    how = {"batch_size": 64 if name in ("mvp", "mlp") else 8}
    _, trainer = train(name, epochs=3, data=small, training=how)
    assert trainer.history[-1]["train_loss"] < trainer.history[0]["train_loss"]


@pytest.mark.parametrize("loss", ["bce", "focal"])
def test_other_losses_and_all_augmentations_work_with_hazards(train, steps, loss):
    small = [part.select(np.arange(24)) for part in steps[:2]]
    how = {
        "loss": loss,
        "time_warp": 0.2,
        "random_start": 0.3,
        "signal_noise": 0.1,
        "signal_dropout": 0.2,
        "positive_fraction": 0.5,
        "monitor": "average_precision",
    }
    _, trainer = train("temporal", epochs=3, data=small, training=how)
    assert trainer.history[-1]["train_loss"] < trainer.history[0]["train_loss"]


def test_what_is_kept_is_the_moving_average_of_what_is_trained():
    averaging = Averaging(torch.nn.Linear(1, 1, bias=False), 0.9)
    expected = None
    for value in (1.0, 2.0, 5.0):
        torch.nn.init.constant_(averaging.learner.weight, value)
        averaging.update()
        expected = value if expected is None else 0.9 * expected + 0.1 * value
        assert averaging.kept.weight.item() == pytest.approx(expected)
    assert averaging.learner.weight.item() == 5.0
    alone = Averaging(torch.nn.Linear(1, 1), 0.0)
    assert alone.kept is alone.learner


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_resumed_run_ends_as_one_that_was_not_interrupted(average, train, steps, tmp_path):
    small, how = [part.select(np.arange(24)) for part in steps[:2]], {"ema_decay": average}
    whole, _ = train("temporal", 4, small, output=tmp_path / "whole", training=how)
    train("temporal", 2, small, output=tmp_path / "parts", training=how)
    resumed, trainer = train(
        "temporal", 4, small, resume=True, output=tmp_path / "parts", training=how
    )
    assert [figures["epoch"] for figures in trainer.history] == [0, 1, 2, 3]
    np.testing.assert_allclose(
        resumed.raw_scores(small[1]), whole.raw_scores(small[1]), rtol=1e-4, atol=1e-7
    )


def test_there_must_be_something_to_resume_from(train, tmp_path):
    with pytest.raises(CheckpointError, match="no state to resume from"):
        train("mvp", resume=True, output=tmp_path / "nowhere")


def test_a_run_goes_on_with_its_own_settings_and_episodes_only(train, steps, tmp_path):
    small = [part.select(np.arange(24)) for part in steps[:2]]
    train("mvp", 1, small, output=tmp_path)
    fewer = [small[0].select(np.arange(20)), small[1]]
    for name, data, given, said in (
        ("mvp", fewer, {}, "training episodes"),
        ("mvp", small, {"training": {"learning_rate": 0.01}}, r"training\.learning_rate"),
        ("mlp", small, {}, "predictor"),
    ):
        with pytest.raises(CheckpointError, match=f"begun with other values of: .*{said}"):
            train(name, 2, data, resume=True, output=tmp_path, **given)
    _, trainer = train("mvp", 2, small, resume=True, output=tmp_path)
    assert len(trainer.history) == 2


def test_the_best_epoch_is_never_an_earlier_runs(train, steps, tmp_path):
    small = [part.select(np.arange(24)) for part in steps[:2]]
    train("mvp", 3, small, output=tmp_path)
    predictor, trainer = train("mvp", 1, small, output=tmp_path, seed=5)
    again, _ = train("mvp", 1, small, seed=5)
    assert len(trainer.history) == 1
    np.testing.assert_array_equal(predictor.raw_scores(small[1]), again.raw_scores(small[1]))


def test_a_figure_that_is_not_defined_on_validation_chooses_no_epoch(train, steps):
    good = steps[1].select(np.flatnonzero(steps[1].episodes.succeeded))
    with pytest.raises(InputError, match=r"training\.monitor .* no failure but timeouts"):
        train("mvp", 1, (steps[0], good), training={"monitor": "average_precision"})


def test_a_loss_that_needs_hazards_is_refused_with_the_settings():
    with pytest.raises(SettingsError, match="hazards"):
        RunSettings.from_mapping({"predictor": "mlp", "training": {"loss": "survival"}})


def test_a_gpu_that_is_not_there_is_a_setting_to_change(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match=r"training\.device is 'cuda'"), processes("cuda"):
        pass


def test_periodic_checkpoints_and_figures_are_kept(train, steps, tmp_path):
    small = [part.select(np.arange(24)) for part in steps[:2]]
    train("mvp", 2, small, output=tmp_path, training={"keep_every": 1})
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"best", "last", "epoch_001", "epoch_002", "metrics.json"}


def test_targets_count_down_to_the_onset_and_stop_where_nothing_is_known():
    data = make_steps(10)
    failed = int(np.flatnonzero(data.episodes.failed)[0])
    onset = int(data.episodes.onset_step[failed])
    rows = data.rows(failed)
    targets = make_targets(data)
    assert targets.ahead[rows][:onset].tolist() == list(range(onset, 0, -1))
    assert (targets.known[rows][onset:] == 0).all()
    data.episodes.outcome[failed] = Outcome.ABORTED
    data.episodes.failure[failed] = 0
    known = make_targets(data).known[rows]
    assert known[-1] == 0
    assert known[-3] == 2


def test_jitter_shows_each_step_with_its_own_label():
    data = make_steps(10)
    settings = RunSettings.from_mapping(
        {"predictor": "temporal", "training": {"time_warp": 0.5, "random_start": 0.5}}
    )
    batches = TrainingSet(make_predictor(settings, data), data)
    batch = batches.batch(np.arange(10), settings.training, np.random.default_rng(0))
    present = batch["present"].numpy()
    seen = {
        (tuple(columns), bool(label.any()))
        for columns, label in zip(
            batch["columns"].numpy()[present][:, 24:27],
            batch["labels"].numpy()[present],
            strict=True,
        )
    }
    known = {
        (tuple(columns), bool(label.any()))
        for columns, label in zip(batches.columns[:, 24:27], data.labels, strict=True)
    }
    assert seen <= known
    assert 0.3 < len(seen) / len(known) < 0.95


def test_balanced_batches_hold_the_share_that_is_asked_for():
    data = make_steps(100, failing=0.1)
    settings = RunSettings.from_mapping(
        {"predictor": "temporal", "training": {"positive_fraction": 0.5}}
    )
    units = np.concatenate(
        TrainingSet(make_predictor(settings, data), data).passes(settings.training, 0)
    )
    assert data.episodes.failed[units].mean() == pytest.approx(0.5, abs=0.01)


def test_processes_share_the_batches_evenly():
    data = make_steps(50)
    settings = RunSettings.from_mapping({"predictor": "temporal", "training": {"batch_size": 7}})
    batches = TrainingSet(make_predictor(settings, data), data)
    parts = [batches.passes(settings.training, 3, rank, 2) for rank in (0, 1)]
    assert len(parts[0]) == len(parts[1]) == 4
    shown = np.concatenate([np.concatenate(part) for part in parts])
    assert len(set(shown.tolist())) == len(shown)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["training.epoch=3"], "unknown setting 'settings.training.epoch': did you mean 'epochs'"),
        (["training.epochs=many"], "settings.training.epochs must be of type int"),
        (["network.wdith=3"], "unknown setting 'network.wdith'"),
        (["predictor=oracle"], "unknown predictor 'oracle'"),
        (["training.loss=mse"], "loss must be one of"),
        (["epochs"], "not of the form key=value"),
    ],
)
def test_bad_settings_are_refused_by_name(assignments, message):
    with pytest.raises(SettingsError, match=message):
        RunSettings.from_mapping(override({"predictor": "temporal"}, assignments))


def test_overrides_replace_nested_values():
    content = override(
        {"predictor": "mlp"}, ["training.learning_rate=3e-4", "network.hidden=[8, 8]"]
    )
    settings = RunSettings.from_mapping(content)
    assert settings.training.learning_rate == 3e-4
    assert settings.network_config().hidden == (8, 8)
    assert settings.training.batch_size == 256


def test_a_scene_that_was_not_read_is_not_dropped_in_silence(train, steps):
    unknown = dataclasses.replace(steps[0], scene=np.full((len(steps[0]), 4), np.nan, np.float32))
    for data in (steps[0], unknown):
        with pytest.raises(InputError, match=r"auxiliary_weight is 0\.1, but the training steps"):
            train("temporal", 1, (data, steps[1]), training={"auxiliary_weight": 0.1})


@pytest.mark.parametrize("width", [0, 64])
def test_a_probe_reads_the_scene_off_the_latent_and_training_leaves_it(width, train, steps):
    def with_scene(data):
        latent = data.embedding.astype(np.float32)
        scene = np.stack([latent[:, 0] - 2.0 * latent[:, 1] + 5.0, latent[:, 2]], axis=1)
        scene[::3, 1] = np.nan
        never = np.full((len(data), 1), np.nan, np.float32)
        return dataclasses.replace(data, scene=np.concatenate([scene, never], axis=1))

    data = [with_scene(part) for part in steps[:2]]
    network = {"projection_width": width}
    predictor, _ = train("temporal", 2, data, network=network, training={"linear_probe": True})
    assert predictor.config.projection == 3
    latent = predictor.normaliser.embedding(data[1].embedding)
    read = predictor.network.projection.project(torch.from_numpy(latent)).numpy()
    for column in (0, 1):
        known = np.isfinite(data[1].scene[:, column])
        true = data[1].scene[known, column]
        assert np.corrcoef(read[known, column], true)[0, 1] > (0.8 if width else 0.99)
        assert read[known, column].std() == pytest.approx(1.0, abs=0.4 if width else 0.2)
    np.testing.assert_array_equal(read[:, 2], 0.0)


def test_a_probe_needs_a_latent_and_a_scene(train, steps):
    with pytest.raises(InputError, match="linear_probe is true, but there is no latent"):
        train("temporal", 1, inputs=["signals"], training={"linear_probe": True})
    with pytest.raises(InputError, match="linear_probe is true, but the training steps hold"):
        train("temporal", 1, training={"linear_probe": True})
