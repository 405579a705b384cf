# SPDX-License-Identifier: Apache-2.0
"""Which checkpoints the service load_checkpoint may load."""

import pytest

from salus_ros.managed_node import ConfigureError
from salus_vla_node import loading
from salus_vla_node.loading import require_allowed
from salus_vla_node.parameters import VlaParameters


@pytest.fixture
def folders(tmp_path):
    for name in ("mine/first", "mine/second", "elsewhere/third"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "weights").write_bytes(b"1")
    (tmp_path / "mine/link").symlink_to(tmp_path / "elsewhere/third")
    (tmp_path / "mine/second/link").symlink_to(tmp_path / "elsewhere/third/weights")
    return tmp_path


def refused(given, checkpoint):
    with pytest.raises(ConfigureError) as error:
        require_allowed(given, str(checkpoint))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_folders_and_all_files_in_them_lie_beneath_the_named_ones(folders):
    given = VlaParameters(checkpoint_folders=[str(folders / "mine")])
    require_allowed(given, str(folders / "mine/first"))
    for path in ("elsewhere/third", "mine/link", "mine/second", "mine/../elsewhere/third"):
        assert "is not beneath the folders of checkpoint_folders" in refused(given, folders / path)


def test_without_named_folders_the_neighbours_of_the_parameters_checkpoint_are_loaded(folders):
    given = VlaParameters(checkpoint=str(folders / "mine/first"))
    (folders / "mine/fourth").mkdir()
    require_allowed(given, str(folders / "mine/fourth"))
    assert "is not beneath" in refused(given, folders / "elsewhere/third")
    assert "is not beneath" in refused(VlaParameters(), folders / "mine/first")


def test_other_names_are_loaded_only_if_they_are_listed(folders):
    given = VlaParameters(checkpoint="lab/policy", checkpoint_ids=["lab/other", "gpu:5555"])
    for allowed in ("default", "lab/policy", "lab/other", "gpu:5555"):
        require_allowed(given, allowed)
    for name in ("somebody/else", "gpu:5556", "", "a\nb", "x" * 2000, "\0"):
        assert refused(given, name)
    assert "checkpoint_ids" in refused(given, "somebody/else")
    assert refused(VlaParameters(), "")


def test_a_folder_of_too_many_files_is_no_checkpoint(folders, monkeypatch):
    monkeypatch.setattr(loading, "MOST_FILES", 3)
    for number in range(4):
        (folders / f"mine/first/{number}").touch()
    given = VlaParameters(checkpoint_folders=[str(folders)])
    assert "holds more than 3 files" in refused(given, folders / "mine/first")
