# SPDX-License-Identifier: Apache-2.0
import pytest
from matplotlib.image import imread

from salus_core.commands.inspect import main
from salus_core.episode_store import EpisodeWriter, open_run
from salus_core.episode_store.testing import make_schema, write_episode
from salus_core.failures import Outcome
from salus_core.inspection.figure import events_of, key_steps


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    writer = EpisodeWriter(tmp_path_factory.mktemp("runs"), make_schema(), fsync=False)
    write_episode(writer, 10, 30)
    write_episode(writer, 11, 40, Outcome.FAILED)
    writer.close()
    return writer.path


def test_table_has_a_line_per_episode(run, capsys):
    assert main([str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(run)
    assert lines[1] == "2 episodes, 70 steps at 30 Hz, closed; 1 succeeded, 1 drop"
    assert lines[4].split()[:4] == ["#", "number", "outcome", "onset"]
    assert lines[5].split()[:7] == ["0", "10", "succeeded", "-", "30", "0", "no"]
    assert lines[6].split()[:7] == ["1", "11", "drop", "38", "40", "0", "no"]
    assert "arm_force 12.5 N @3" in lines[6]
    assert lines[6].endswith("take cube 11 ü")


def test_picture_of_an_episode(run, tmp_path, capsys):
    output = tmp_path / "episode.png"
    assert main([str(run), "--episode", "1", "--output", str(output)]) == 0
    assert str(output) in capsys.readouterr().out
    picture = imread(output)
    assert picture.shape[1] == 1500
    red = (abs(picture[..., 0] - 0.757) < 0.01) & (picture[..., 1] < 0.1)
    assert red.sum() > 500  # the onset is marked


def test_onset_is_a_key_frame_and_an_event(run):
    episode = open_run(run)[1]
    assert 38 in key_steps(episode)
    assert key_steps(episode)[0] == 0
    assert [(event.step, event.name) for event in events_of(episode)] == [
        (3, "arm force"),
        (38, "drop onset"),
    ]


def test_what_cannot_be_shown_is_said(run, tmp_path, capsys):
    assert main([str(tmp_path / "nothing")]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert main([str(run), "--episode", "7"]) == 1
    assert "has 2 episodes, there is none at 7" in capsys.readouterr().err
    assert main([str(run), "--output", str(tmp_path / "no folder" / "x.png")]) == 1
    assert "no folder is no folder" in capsys.readouterr().err
    assert main([str(run), "--output", str(tmp_path / "x.nonsense")]) == 1
    assert "end its name with one of" in capsys.readouterr().err
