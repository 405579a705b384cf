# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with a file, a value or the disk: one line, exit code 1, no traceback."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_runs import write_runs

from salus_core import cli
from salus_core.commands import boundary
from salus_core.data.testing import make_steps

NO_WRITING = Path("/sys/kernel")  # not even for root


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write_runs(tmp_path_factory.mktemp("runs"), make_steps(12, seed=1))[0]


@pytest.fixture(scope="module")
def folder(checkpoint):
    return checkpoint()


def line_of(name, runs, folder, output):
    """A command line that reads one run and writes to an output."""
    output, splits = str(output), "fractions"
    return {
        "train": ["mlp", f"data.runs=[{runs}]", f"data.splits={splits}", f"output={output}"],
        "evaluate": [str(folder), "--runs", str(runs), "--splits", splits, "--output", output],
        "compare": [str(folder), "--runs", str(runs), "--splits", splits, "--output", output],
        "ablate": ["mlp", "--runs", str(runs), "--splits", splits, "--output", output],
        "replay": [str(runs), "--checkpoint", str(folder), "--output", output],
        "inspect": [str(runs), "--episode", "0", "--output", f"{output}.png"],
    }[name]


COMMANDS = ["train", "evaluate", "compare", "ablate", "replay", "inspect"]


def refusal(arguments, capsys):
    """The one line that a command says when it refuses."""
    code = cli.main(arguments)
    lines = capsys.readouterr().err.splitlines()
    assert code == 1
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"salus {arguments[0]}: ")
    return lines[0]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("what", ["read_only", "full", "file", "below_file", "folder"])
def test_an_output_that_cannot_be_written_is_refused_first(
    name, what, folder, runs, tmp_path, capsys
):
    place = {
        "read_only": NO_WRITING / "out",
        "full": Path("/dev/full") / "out",
        "file": tmp_path / "file",
        "below_file": tmp_path / "file" / "out",
        "folder": tmp_path / "out",
    }[what]
    (tmp_path / "file").write_text("")
    (tmp_path / "file.png" / "x").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out.png").mkdir()
    if what == "folder" and name != "inspect":
        pytest.skip("a folder is what it writes into")
    inputs = runs if name == "inspect" else tmp_path / "nowhere"
    said = refusal([name, *line_of(name, inputs, folder, place)], capsys)
    # Before the input, which is missing, was looked at.
    assert "output" in said
    assert str(place.parent if what == "full" else place) in said
    assert ";" in said


@pytest.fixture(params=["missing", "file", "empty"])
def nothing(request, tmp_path):
    """A path that holds neither a run nor a checkpoint."""
    path = tmp_path / request.param
    if request.param == "file":
        path.write_bytes(b"\x00\xff")
    elif request.param == "empty":
        path.mkdir()
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_an_input_that_is_no_run_is_named(name, nothing, folder, tmp_path, capsys):
    given = line_of(name, nothing, folder, tmp_path / "out")
    assert str(nothing) in refusal([name, *given], capsys)


@pytest.mark.parametrize("name", ["evaluate", "compare", "replay"])
def test_what_is_no_checkpoint_is_named(name, nothing, runs, tmp_path, capsys):
    given = line_of(name, runs, nothing, tmp_path / "out")
    assert str(nothing) in refusal([name, *given], capsys)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 5000, b"a: [", b"- 1", b"predictor: 5"])
@pytest.mark.parametrize("name", ["train", "ablate"])
def test_settings_that_cannot_be_read_are_named(name, content, runs, tmp_path, capsys):
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    arguments = line_of(name, runs, "", tmp_path / "out")
    said = refusal([name, str(path), *arguments[1:]], capsys)
    assert "settings.yaml" in said or "predictor" in said


def run(name, arguments, **options):
    """Run a command in a process of its own, with a locale that knows ASCII only."""
    environment = dict(os.environ, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    environment["PYTHONCOERCECLOCALE"] = "0"
    command = [sys.executable, "-m", "salus_core.cli", name, *map(str, arguments)]
    return subprocess.run(command, env=environment, stderr=subprocess.PIPE, timeout=120, **options)


@pytest.mark.parametrize("name", ["inspect", pytest.param("replay", marks=pytest.mark.slow)])
def test_output_is_utf8_in_any_locale(name, runs, folder, tmp_path):
    output = tmp_path / "Öfen"
    more = [] if name == "inspect" else ["--allow-unchecked-policy", "--replicates", "20"]
    arguments = [*line_of(name, runs, folder, output), *more]
    done = run(name, arguments, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert "Öfen" in done.stdout.decode("utf-8")
    if name == "replay":
        assert (output / "report.md").read_text(encoding="utf-8")


def test_a_full_disk_behind_standard_output_is_said_once(runs):
    with open("/dev/full", "w") as full:
        done = run("inspect", [runs], stdout=full)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("salus inspect: ")
    assert "No space left on device" in line


def test_a_reader_that_goes_away_is_no_error(runs):
    read, write = os.pipe()
    os.close(read)
    done = run("inspect", [runs], stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_programming_error_keeps_its_traceback():
    @boundary.command("broken")
    def broken(argv):
        return {}["key"]

    with pytest.raises(KeyError):
        broken([])


def test_an_interrupt_says_how_to_go_on(capsys):
    @boundary.command("long", "--resume goes on")
    def long(argv):
        raise KeyboardInterrupt

    assert long([]) == 130
    assert capsys.readouterr().err == "salus long: stopped; --resume goes on\n"


def test_a_disk_that_fills_while_it_runs_says_what_is_kept(capsys):
    @boundary.command("long", "--resume goes on")
    def long(argv):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/last")

    assert long([]) == 1
    assert capsys.readouterr().err == (
        "salus long: runs/last: No space left on device; free some space, or write elsewhere; then "
        "--resume goes on\n"
    )


def test_figures_that_cannot_be_written_are_printed(tmp_path, capsys):
    class Figures:
        def write(self, folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "report.md"))

        def text(self):
            return "AUROC 0.9"

    with pytest.raises(boundary.OutputError, match=r"report.md: No space left .* printed instead"):
        boundary.written(Figures(), tmp_path)
    assert capsys.readouterr().out == "AUROC 0.9\n"


def test_trying_an_output_leaves_nothing_behind(tmp_path):
    boundary.require_folder(tmp_path / "a" / "b")
    boundary.require_file(tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_text_can_be_said(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    boundary.write_utf8()
    print("\udcff ö", file=stream, flush=True)
    assert stream.buffer.getvalue() == b"\xff \xc3\xb6\n"
