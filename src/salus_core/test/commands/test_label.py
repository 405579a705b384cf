# SPDX-License-Identifier: Apache-2.0
"""Labels that are given afterwards: beside what was recorded, followed by all who read."""

import io
import json

import pytest

from salus_core.commands.label import main
from salus_core.commands.verify import main as verify
from salus_core.episode_store import (
    DamagedRunError,
    EpisodeLabel,
    EpisodeWriter,
    SchemaError,
    add_label,
    open_run,
)
from salus_core.episode_store.testing import make_schema, write_episode
from salus_core.failures import Outcome


@pytest.fixture
def run(tmp_path):
    writer = EpisodeWriter(tmp_path / "runs", make_schema())
    for number, outcome in enumerate((Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SUCCEEDED)):
        write_episode(writer, number, 30, outcome)
    writer.close()
    return writer.path


def outcomes(run):
    return [(e.outcome.name.lower(), e.failure_name, e.onset_step) for e in open_run(run)]


def test_a_label_replaces_what_was_recorded_and_can_be_taken_back(run, capsys):
    recorded = outcomes(run)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    arguments = [str(run), "--episode", "0", "--outcome", "failed", "--failure", "drop"]
    assert main([*arguments, "--before-end", "0.5", "--note", "slipped", "--who", "ada"]) == 0
    assert "drop at step 15" in capsys.readouterr().out
    assert main([str(run), "--episode", "1", "--outcome", "aborted"]) == 0
    assert outcomes(run) == [("failed", "drop", 15), ("aborted", "", -1), recorded[2]]
    (label,) = open_run(run).outcome_labels[0]
    assert (label.note, label.who) == ("slipped", "ada")
    assert label.when
    assert main([str(run), "--episode", "-3", "--outcome", "recorded"]) == 0
    assert main([str(run), "--episode", "1", "--outcome", "recorded"]) == 0
    assert outcomes(run) == recorded
    assert len(open_run(run).outcome_labels[0]) == 2  # who said what when stays
    assert {p: p.read_bytes() for p in before} == before
    assert verify([str(run)]) == 0


def test_a_failure_without_an_onset_is_one_that_is_seen_at_the_end(run):
    arguments = ["--outcome", "failed", "--failure", "timeout"]
    assert main([str(run), "--episode", "2", *arguments]) == 0
    assert outcomes(run)[2] == ("failed", "timeout", 30)
    labels = open_run(run)[2].labels((0.5,))
    timeout = open_run(run).taxonomy.code("timeout") - 1
    assert labels.y[:, 0, timeout].tolist() == [step >= 15 for step in range(30)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--episode", "3", "--outcome", "aborted"], "there is none at 3"),
        (["--episode", "0", "--outcome", "failed"], "failure type '' is not known: use collision"),
        (["--episode", "0", "--outcome", "failed", "--failure", "x"], "failure type 'x'"),
        (
            ["--episode", "0", "--outcome", "failed", "--failure", "drop", "--onset", "31"],
            "onset step 31 lies outside the episode's 0 to 30",
        ),
        (["--episode", "0", "--outcome", "aborted", "--onset", "3"], "neither failure type nor"),
        (["--episode", "0", "--outcome", "aborted", "--note", "x" * 1001], "more than 1000"),
    ],
)
def test_a_label_that_does_not_fit_is_refused_in_one_line(run, capsys, arguments, said):
    assert main([str(run), *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not (run / "labels.jsonl").exists()


def test_typed_answers_label_and_wrong_ones_are_asked_again(run, monkeypatch, capsys):
    typed = "f drop 12\nf what\nf drop -0.2\nn it fell\n\nu\ns\n\na\nhm\n\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert main([str(run), "--interactive", "--who", "bob"]) == 0
    assert outcomes(run) == [("failed", "drop", 24), ("succeeded", "", -1), ("aborted", "", -1)]
    assert open_run(run).outcome_labels[0][-1].note == "it fell"
    said = capsys.readouterr().out
    assert "failure type 'what' is not known" in said
    assert "'hm' is not understood" in said
    assert main([str(run)]) == 0
    assert "bob" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"episode": 99, "outcome": "failed"}),
        json.dumps({"episode": True, "outcome": "aborted"}),
        json.dumps({"episode": 0, "outcome": "running"}),
        json.dumps({"episode": 0, "outcome": "aborted", "more": "x"}),
        "[" * 100_000,
    ],
)
def test_a_damaged_label_is_refused_by_file_and_line(run, line):
    add_label(run, EpisodeLabel(0, "aborted"), open_run(run).lengths, open_run(run).taxonomy)
    with (run / "labels.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DamagedRunError, match=r"labels.jsonl, line 2, is no label"):
        open_run(run)


def test_a_link_in_place_of_the_file_is_not_followed(run, tmp_path):
    (run / "labels.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedRunError):
        open_run(run)
    with pytest.raises(OSError, match="symbolic links"):
        add_label(run, EpisodeLabel(0, "aborted"), {0: 30}, make_schema().taxonomy)
    with pytest.raises(SchemaError, match="there is no episode 5"):
        add_label(run, EpisodeLabel(5, "aborted"), {0: 30}, make_schema().taxonomy)
