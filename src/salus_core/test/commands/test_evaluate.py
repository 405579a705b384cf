# SPDX-License-Identifier: Apache-2.0
"""The commands evaluate, compare, ablate and replay, on runs on disk."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from made_up_runs import write_runs

import salus_core.report
from salus_core import cli
from salus_core.commands import ablate, compare, evaluate, replay
from salus_core.data import SCENE_NAMES
from salus_core.data.testing import make_steps
from salus_core.episode_store.dataset import RepeatedRun
from salus_core.evaluation.figures import json_schema
from salus_core.evaluation.privileged import with_true_scene
from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.report.assess import Settings
from salus_core.report.inputs import MissingInputError, checked_parts
from salus_core.report.sources import Parts, overlaps
from salus_core.report.variants import SIGNAL_GROUPS, variants

SCHEMA = Path(salus_core.report.__file__).parent / "schema.json"


def violations(value, schema, definitions, where=""):
    """Places where a value is not of a schema, of the keywords that `json_schema` uses."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        found = [list(violations(value, one, definitions, where)) for one in schema["anyOf"]]
        yield from min(found, key=len) if all(found) else ()
        return
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    number = {int: ("integer", "number"), float: ("number",)}
    if not set(number.get(type(value), (names.get(type(value)),))) & set(kinds):
        yield where
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from violations(one, schema["items"], definitions, f"{where}[{index}]")
    elif isinstance(value, dict):
        yield from (f"{where}.{name}" for name in schema.get("required", ()) if name not in value)
        others = schema["additionalProperties"]
        for name, one in value.items():
            inner = schema.get("properties", {}).get(name, others)
            if inner is False:
                yield f"{where}.{name}"
            elif inner is not True:
                yield from violations(one, inner, definitions, f"{where}.{name}")


FAST = ["--alpha", "0.3", "--replicates", "20"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write_runs(tmp_path_factory.mktemp("recorded"), make_steps(140, seed=3))


@pytest.fixture(scope="module")
def source(runs):
    return ["--runs", str(runs[0]), "--splits", str(runs[1])]


@pytest.fixture(scope="module")
def folder(checkpoint):
    return checkpoint("mlp")


def read(path):
    return json.loads(path.read_text())


def test_evaluate_writes_figures_tables_and_pictures(folder, source, tmp_path, capsys):
    assert evaluate.main([str(folder), *source, *FAST, "--output", str(tmp_path)]) == 0
    found = read(tmp_path / "metrics.json")
    assert list(found["methods"]) == ["mlp", "clock", "fitted_clock", "random", "proprioception"]
    assert found["weights"] == load_checkpoint(folder)[0].hash
    mlp = found["methods"]["mlp"]
    assert set(mlp["steps"]) == {"all", "natural", "injected"}
    assert len(mlp["steps"]["all"]) == 24
    assert len(found["methods"]["clock"]["steps"]["all"]) == 9
    figures = mlp["steps"]["all"]["any_but_timeout@0.5s"]
    for name in ("auroc", "average_precision", "precision", "recall", "f1", "brier", "ece"):
        low, value, high = (figures[name][key] for key in ("low", "value", "high"))
        assert low <= value <= high
    assert set(mlp["episodes"]) == set(mlp["alarm"]) == {"without_timeout", "with_timeout"}
    assert [row["alpha"] for row in mlp["alphas"]] == [0.2, 0.3, 0.5]
    assert set(found["differences"]) == {"clock", "fitted_clock", "random", "proprioception"}
    schema = json.loads(SCHEMA.read_text())
    assert schema == json_schema(), f"write it again: python -m {json_schema.__module__}"
    assert not list(violations(found, schema, schema["$defs"]))
    found["methods"]["mlp"]["steps"]["all"]["drop@0.5s"]["auroc"]["value"] = "high"
    assert list(violations(found, schema, schema["$defs"])) == [
        ".methods.mlp.steps.all.drop@0.5s.auroc.value"
    ]
    assert found["data"]["test"]["episodes"] == 40
    document = (tmp_path / "report.md").read_text()
    for name in ("roc", "pr", "reliability", "confusion", "conformal_threshold", "lead"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
        assert f"({name}.png)" in document
    assert "| clock |" in document
    assert "| proprioception |" in document
    assert document in capsys.readouterr().out


def test_a_predictor_without_skill_is_called_out_and_a_sound_data_set_is_not(
    folder, source, tmp_path, capsys
):
    evaluate.main([str(folder), *source, *FAST, "--output", str(tmp_path)])
    said = read(tmp_path / "metrics.json")["warnings"]
    assert any("'mlp' IS NOT SHOWN TO BE BETTER THAN 'proprioception'" in one for one in said)
    assert not any("THE CLOCK SOLVES" in one for one in said)
    assert f"WARNING: {said[0]}" in capsys.readouterr().err


def test_episodes_that_a_checkpoint_was_made_from_are_called_out(folder, source, tmp_path, capsys):
    manifest = json.loads((folder / "manifest.json").read_text())
    seen = {**manifest, "data": {"train": {"seeds": [0, 29]}, "calibration": {"seeds": [30, 129]}}}
    other = tmp_path / "seen"
    shutil.copytree(folder, other)
    (other / "manifest.json").write_text(json.dumps(seen))
    for command, name in ((evaluate, "metrics"), (compare, "comparison")):
        baselines = ["--baselines", "clock"] if command is compare else []
        arguments = [str(other), *source, *FAST, *baselines, "--output", str(tmp_path)]
        assert command.main(arguments) == 0
        said = read(tmp_path / f"{name}.json")["warnings"][0]
        assert "test part have seeds from 30 to 129, those of the calibration part" in said
        assert f"WARNING: {said}" in capsys.readouterr().err


def test_episodes_of_a_task_that_a_checkpoint_has_not_seen_are_not_called_out():
    data = make_steps(30)
    tasks = np.array(["stack"] * 10 + ["push"] * 20, object)
    data = dataclasses.replace(data, episodes=dataclasses.replace(data.episodes, task=tasks))
    for known, shared in ((["put_on"], 0), (["push", "put_on"], 20)):
        manifest = {"data": {"train": {"seeds": [0, 29], "tasks": known}}}
        said = overlaps(manifest, Parts(test=data), "it")
        assert len(said) == (shared > 0)
        assert not shared or said[0].startswith(f"{shared} of 30 episodes")


class Oracle:
    """Knows the labels."""

    name = "oracle"

    def scores(self, data):
        noise = np.random.default_rng(0).uniform(size=data.labels.shape)
        return np.maximum.accumulate(0.2 * (data.labels + 0.1 * noise), axis=1).astype(np.float32)


def test_a_data_set_that_the_clock_solves_is_called_out_before_any_figure(folder):
    data = make_steps(60, seed=5, failing=1.0)
    table = data.episodes
    # every episode fails at its end, after a time that is the same for all
    steps = 40
    keep = data.step < steps
    arrays = {
        field.name: getattr(data, field.name)[keep]
        for field in dataclasses.fields(data)
        if isinstance(getattr(data, field.name), np.ndarray)
        and len(getattr(data, field.name)) == len(data)
    }
    ahead = steps - arrays["step"]
    labels = np.zeros((len(ahead), 4, 4), bool)
    labels[:, :, 1] = ahead[:, None] <= [6, 9, 12, 15]
    count = len(table)
    solved = dataclasses.replace(
        data,
        **{**arrays, "labels": labels, "label_valid": np.ones((len(ahead), 4), bool)},
        episodes=dataclasses.replace(
            table,
            start=np.arange(count) * steps,
            length=np.full(count, steps),
            failure=np.full(count, 2, np.uint8),
            onset_step=np.full(count, steps),
        ),
    )
    predictor, _ = load_checkpoint(folder)
    parts = Parts(test=solved)
    report = evaluate.evaluate(
        predictor, parts, Settings(alpha=predictor.band.alpha, replicates=20), {}, Oracle()
    )
    document = report.text()
    assert any("THE CLOCK SOLVES THIS DATA SET" in sentence for sentence in report.warnings())
    assert document.index("THE CLOCK SOLVES THIS DATA SET") < document.index("## Data")
    assert "NO EPISODE SUCCEEDED" in document


def test_what_is_missing_is_named_in_one_line(folder, runs, tmp_path, capsys):
    cases = {
        "the checkpoint does not say which splits": [str(folder)],
        "has no split 'holdout'": [str(folder), "--runs", str(runs[0]), "--splits", str(runs[1]),
                                   "--split", "holdout"],
        "not found": ["/nowhere"],
        "--alpha must lie between 0 and 1, got 2.0": [
            str(folder), "--runs", str(runs[0]), "--splits", str(runs[1]), "--alpha", "2"],
    }  # fmt: skip
    for message, arguments in cases.items():
        assert evaluate.main(arguments) == 1
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1


def test_compare_puts_checkpoints_and_baselines_into_one_table(
    checkpoint, folder, source, tmp_path, capsys
):
    other = checkpoint("safe_mlp")
    names = ["clock", "max_epistemic", "stac", "cosine_knn_5"]
    arguments = [str(folder), str(other), *source, *FAST, "--output", str(tmp_path)]
    assert compare.main([*arguments, "--baselines", *names]) == 0
    found = read(tmp_path / "comparison.json")
    added = ["fitted_clock", "random", "proprioception"]
    assert list(found["methods"]) == ["mlp", "safe_mlp", *names, *added]
    assert found["reference"] == "mlp"
    schema = json_schema()
    assert not list(violations(found, schema, schema["$defs"]))
    assert set(found["differences"]) == {"safe_mlp", *names, *added}
    said = found["warnings"]
    assert any("'mlp' IS NOT SHOWN TO BE BETTER THAN 'proprioception'" in one for one in said)
    assert "| best balanced accuracy |" not in (tmp_path / "comparison.md").read_text()
    gain = found["differences"]["cosine_knn_5"]["auroc"]
    assert gain["low"] <= gain["value"] <= gain["high"] < 0.0  # drawn weights know nothing
    table = capsys.readouterr().out
    assert table.count("| cosine_knn_5 |") >= 5


def test_compare_names_an_unknown_baseline(folder, source, capsys):
    assert compare.main([str(folder), *source, "--baselines", "magic"]) == 1
    assert "unknown baseline 'magic': use some of clock" in capsys.readouterr().err


def test_the_studies_of_an_ablation():
    from salus_core.predictors.training.configuration import RunSettings

    settings = RunSettings.from_mapping({"predictor": "temporal"})
    rows = {row.name: row for row in variants(settings, ("signals", "latent", "window"), 4)}
    assert next(iter(rows)) == "full"
    for group, of_group in SIGNAL_GROUPS.items():
        assert not set(rows[f"without {group}"].settings.signal_names) & set(of_group)
        assert rows[f"only {group}"].settings.signal_names == of_group
    assert sum(len(of_group) for of_group in SIGNAL_GROUPS.values()) == 12
    assert "action_std" not in rows["without uncertainty"].settings.input_groups
    assert "embedding" not in rows["without latent"].settings.input_groups
    assert rows["latent only"].settings.input_groups == ("embedding",)
    probed = RunSettings.from_mapping({"predictor": "temporal", "training": {"linear_probe": True}})
    for row in variants(probed, ("signals", "latent", "window"), 4):
        reads = "embedding" in row.settings.input_groups
        assert row.settings.training.linear_probe == reads, row.name
    bound = list(variants(probed, ("privileged",), 4))[-1]
    assert bound.name == "true scene instead of the latent"
    assert not bound.settings.training.reads_scene
    data = make_steps(1)
    data = dataclasses.replace(data, scene=np.ones((len(data), len(SCENE_NAMES)), np.float32))
    told = with_true_scene(data).embedding
    np.testing.assert_array_equal(bound.change(data).embedding, told)
    few = dataclasses.replace(settings, signals=("epistemic_uncertainty",))
    named = {row.name: row.settings.signals for row in variants(few, ("signals",), 4)}
    assert named["only uncertainty"] == ("epistemic_uncertainty",)
    assert not {"without uncertainty", "only physics"} & set(named)
    assert rows["window of 31 steps"].settings.network["dilations"] == (1, 2, 4, 8)
    assert [row.name for row in variants(settings, ("ensemble",), 2)] == [
        "full", "1 member", "2 members"]  # fmt: skip


def test_ablate_trains_each_row_once_and_goes_on_where_it_stopped(source, tmp_path, capsys):
    small = [
        "network.width=8",
        "network.projection=4",
        "training.epochs=1",
        "calibration.alpha=0.3",
    ]
    arguments = ["temporal", *small, "--studies", "latent", *source, *FAST]
    arguments += ["--output", str(tmp_path)]
    assert ablate.main(arguments) == 0
    found = read(tmp_path / "ablation.json")
    assert list(found["methods"])[:3] == ["full", "without latent", "latent only"]
    assert list(found["methods"])[3:] == ["clock", "fitted_clock", "random", "proprioception"]
    weights = tmp_path / "full" / "checkpoint" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    assert ablate.main(arguments) == 0
    assert weights.stat().st_mtime_ns == before
    assert read(tmp_path / "ablation.json") == found
    capsys.readouterr()
    other = tmp_path / "other.yaml"
    other.write_text(Path(source[3]).read_text().replace("- 49", "- 48"))
    assert (
        ablate.main([str(other) if one == source[3] else one for one in map(str, arguments)]) == 1
    )
    assert "was trained on other episodes" in capsys.readouterr().err
    arguments[arguments.index("network.width=8")] = "network.width=16"
    assert ablate.main(arguments) == 1
    assert "was trained with other settings" in capsys.readouterr().err


@pytest.mark.parametrize("outlook", [False, True])
def test_replay_of_a_run_gives_the_forecasts_of_the_recording(
    checkpoint, tmp_path, capsys, outlook
):
    folder = checkpoint("temporal", network={"outcome_head": outlook})
    predictor, _ = load_checkpoint(folder)
    data = make_steps(12, seed=11)
    offline, score = predictor.forecasts(data)
    runs, _ = write_runs(tmp_path, data, offline, predictor.hash, score)
    output = tmp_path / "replayed"
    arguments = [str(runs), "--checkpoint", str(folder), "--output", str(output), *FAST[2:]]
    assert replay.main(arguments) == 0
    said = capsys.readouterr().out
    assert f"Of {len(data)} forecasts in the recording" in said
    assert "0 differ by more than 1e-6" in said
    with np.load(output / "forecasts.npz") as saved:
        np.testing.assert_allclose(saved["probabilities"], offline, rtol=0, atol=1e-6)
        assert saved["step"].tolist() == data.step.tolist()
        assert saved["episode"][-1] == 12
        np.testing.assert_allclose(saved["score"], score, rtol=0, atol=1e-6)
        assert saved["alarm"].tolist() == (saved["score"] > predictor.band.edge(data.step)).tolist()
    found = read(output / "metrics.json")
    assert list(found["methods"]) == ["temporal", "clock", "random"]
    assert any("'proprioception' needs a training split" in note for note in found["notes"])
    assert found["alpha"] == predictor.band.alpha
    assert replay.main([*arguments, "--alpha", "0.3"]) == 1
    assert "--alpha 0.3: the checkpoint's conformal threshold is for 0.1" in capsys.readouterr().err


def test_replay_says_where_the_alarms_score_was_another(checkpoint, tmp_path, capsys):
    folder = checkpoint("temporal", network={"outcome_head": True})
    predictor, _ = load_checkpoint(folder)
    data = make_steps(3, seed=11)
    offline, score = predictor.forecasts(data)
    runs, _ = write_runs(tmp_path, data, offline, predictor.hash, score + 0.25)
    arguments = [str(runs), "--checkpoint", str(folder), "--output", str(tmp_path / "out")]
    assert replay.main([*arguments, *FAST[2:]]) == 0
    said = capsys.readouterr().out
    assert f"is 2.50e-01; {len(data)} differ by more than 1e-6" in said


def test_replay_says_that_forecasts_are_another_predictors(checkpoint, tmp_path, capsys):
    folder = checkpoint("temporal")
    data = make_steps(3, seed=11)
    runs, _ = write_runs(tmp_path, data, np.zeros((len(data), 4, 4)), "another")
    arguments = [str(runs), "--checkpoint", str(folder), "--output", str(tmp_path / "out")]
    arguments += FAST[2:]
    assert replay.main(arguments) == 0
    assert "another predictor's" in capsys.readouterr().out


def test_a_report_on_an_input_that_was_never_there_is_refused(checkpoint, tmp_path, capsys):
    data = make_steps(140, seed=3)
    data.proprioception[:] = np.nan
    runs, splits = write_runs(tmp_path, data)
    arguments = [str(checkpoint("temporal")), "--runs", str(runs), "--splits", str(splits), *FAST]
    arguments += ["--output", str(tmp_path / "out")]
    for command in (evaluate, compare):
        baselines = ["--baselines", "clock"] if command is compare else []
        assert command.main([*arguments, *baselines]) == 1
        said = capsys.readouterr().err.splitlines()[-1]
        assert "no step of the test part has 'proprioception', which predictor 'temporal'" in said
        assert "--allow-missing proprioception" in said
    assert evaluate.main([*arguments, "--allow-missing", "proprioception"]) == 0
    end = (tmp_path / "out" / "report.md").read_text().partition("## Steps without an input")[2]
    steps = read(tmp_path / "out" / "metrics.json")["data"]["test"]["steps"]
    assert f"| test | {steps} | 0 | {steps} | 0 |" in end


def test_a_report_on_data_of_an_unknown_policy_is_refused(checkpoint):
    predictor, _ = load_checkpoint(checkpoint("temporal"))
    known = make_steps(3)
    assert checked_parts(predictor, Parts(test=known)).test is known
    for change in ({"schema_hash": ""}, {"policies": ()}, {"policies": (("made up", ""),)}):
        parts = Parts(test=known, held_out={"other": dataclasses.replace(known, **change)})
        with pytest.raises(MissingInputError, match=r"the other part .* --allow-unchecked-policy"):
            checked_parts(predictor, parts)
        allowed = checked_parts(predictor, parts, allow_unchecked_policy=True)
        predictor.scores(allowed.held_out["other"])


@pytest.mark.parametrize(
    ("name", "failing", "said"),
    [
        ("evaluate", 0.0, "undefined: no failures in the test split"),
        ("replay", 1.0, "undefined: no successes in the test split"),
    ],
)
def test_figures_of_a_single_class_are_said_to_be_undefined(
    name, failing, said, folder, runs, tmp_path, capsys
):
    single, _ = write_runs(tmp_path, make_steps(40, seed=5, failing=failing, first_seed=100))
    table = yaml.safe_load(runs[1].read_text())
    for split in table["splits"].values():
        split["runs"] = [str(runs[0])]
    table["splits"]["test"]["runs"] = [str(single)]
    (tmp_path / "splits.yaml").write_text(yaml.safe_dump(table))
    arguments = [str(folder), "--splits", str(tmp_path / "splits.yaml")]
    if name == "replay":
        arguments = ["--checkpoint", str(folder), str(single)]
    arguments += ["--output", str(tmp_path / "out"), "--replicates", "20"]
    arguments += ["--allow-unchecked-policy"]
    assert cli.main([name, *arguments]) == 0
    printed = capsys.readouterr()
    assert said in printed.out
    assert "nan" not in (printed.out + printed.err).lower().split()
    (figures,) = (path for path in (tmp_path / "out").glob("*.json"))
    assert "NaN" not in figures.read_text()


def test_a_run_that_is_given_twice_is_named(tmp_path):
    runs, _ = write_runs(tmp_path, make_steps(4, seed=5))
    (tmp_path / "again").symlink_to(runs)
    with pytest.warns(RepeatedRun, match=rf"{tmp_path}/again.* are one run: it is read once"):
        assert cli.main(["inspect", str(runs), str(tmp_path / "again")]) == 0
