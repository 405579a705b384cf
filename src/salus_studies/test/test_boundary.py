# SPDX-License-Identifier: Apache-2.0
"""The commands that run the simulator: outputs are tried first, refusals are one line."""

from pathlib import Path

import pytest

from salus_core import cli

LINES = {
    "dataset": ["--episodes", "1", "--output"],
    "study_policy": ["--episodes", "2", "--output"],
    "train_policy": ["--demos", "1", "--work"],
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("what", ["read_only", "full", "file", "below_file"])
def test_an_output_that_cannot_be_written_is_refused_first(name, what, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    place = {
        "read_only": Path("/sys/kernel/out"),
        "full": Path("/dev/full"),
        "file": tmp_path / "file",
        "below_file": tmp_path / "file" / "out",
    }[what]
    assert cli.main([name, *LINES[name], str(place)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"salus {name}: {LINES[name][-1]} {place}: ")


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("dataset", ["--predictor", "nowhere"], "'nowhere' not found"),
        ("dataset", ["--split", "x", "--splits", "nowhere.yaml"], "nowhere.yaml"),
        ("dataset", ["--split", "x", "--splits", "/"], "/"),
        ("study_policy", ["--checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_an_input_that_cannot_be_read_is_named(name, arguments, problem, tmp_path, capsys):
    assert cli.main([name, *arguments, *LINES[name], str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"salus {name}: ")
    assert problem in line
