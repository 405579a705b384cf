# SPDX-License-Identifier: Apache-2.0
"""Every flipped bit and every missing file of a run is found, named, and not read."""

import contextlib
import json
import os
import random
import shutil

import numpy as np
import pytest

from salus_core.commands.verify import main
from salus_core.episode_store import (
    DamagedRunError,
    EpisodeWriter,
    NotARunError,
    Recovery,
    Unrecovered,
    open_run,
    recover_root,
    verify_run,
)
from salus_core.episode_store.testing import write_episode

BESIDE = {".lock", "COLCON_IGNORE"}


@pytest.fixture(scope="module")
def run(tmp_path_factory, schema):
    writer = EpisodeWriter(tmp_path_factory.mktemp("runs"), schema)
    for number, length in enumerate((66, 30, 210)):
        write_episode(writer, number, length)
    writer.close()
    return writer.path


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def read_all(path):
    found = open_run(path)
    for episode in found:
        episode.read()
        for camera in found.cameras:
            episode.images(camera)
    return found


def files(path):
    found = [file for file in sorted(path.rglob("*")) if file.is_file()]
    return [file for file in found if file.name not in BESIDE]


def forget_checksums(path):
    """Make it a run of a version that wrote none."""
    metadata = json.loads((path / "metadata.json").read_text())
    del metadata["checksums"]
    (path / "metadata.json").write_text(json.dumps(metadata))
    (path / "checksums.txt").unlink()


def flip(path, place, bit):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def flipped_bits(run, count, seed):
    """Places all over a run, every byte as likely as any other."""
    rng = random.Random(seed)
    paths = files(run)
    for _ in range(count):
        path = rng.choices(paths, [file.stat().st_size for file in paths])[0]
        yield path, rng.randrange(path.stat().st_size), rng.randrange(8)


def require_found(run, path, place):
    found = verify_run(run)
    name = path.relative_to(run).as_posix()
    assert name in [one.file for one in found.damage], (name, place)
    assert all(str(one) for one in found.damage)


def test_a_whole_run_is_whole(run, capsys):
    found = verify_run(run)
    assert (found.damage, found.notes) == ([], [])
    assert found.files == len(files(run))  # with COLCON_IGNORE, without checksums.txt
    assert main([str(run)]) == 0
    assert f"{run}: {found.files} files, whole" in capsys.readouterr().out
    read_all(run)


@pytest.mark.parametrize("count", [12, pytest.param(500, marks=pytest.mark.slow)])
def test_every_flipped_bit_is_found_and_none_is_read(copy, count):
    original = {path: path.read_bytes() for path in files(copy)}
    expected = {key: open_run(copy).column(key) for key in open_run(copy).step_keys}
    for path, place, bit in flipped_bits(copy, count, seed=count):
        flip(path, place, bit)
        require_found(copy, path, place)
        with contextlib.suppress(NotARunError):
            found = read_all(copy)
            # Then the bit says nothing: of bytes that nothing refers to, or of the log.
            for key, values in expected.items():
                np.testing.assert_array_equal(found.column(key), values, err_msg=str(path))
        path.write_bytes(original[path])


def test_every_missing_file_is_found_and_refused(copy):
    for path in files(copy):
        kept = path.read_bytes()
        path.unlink()
        found = verify_run(copy)
        assert path.relative_to(copy).as_posix() in [one.file for one in found.damage]
        with pytest.raises(NotARunError):
            read_all(copy)
        path.write_bytes(kept)
    assert verify_run(copy).damage == []


def test_rows_and_episodes_of_a_damaged_chunk_are_named(copy, capsys):
    shard = copy / "data.zarr/data/signals/c/0/0"
    flip(shard, 40, 3)
    (damage,) = verify_run(copy).damage
    assert damage.rows == (range(0, 64),)
    assert damage.episodes == (0,)
    assert main([str(copy.parent), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found["damage"][0]["rows"] == [[0, 63]]
    with pytest.raises(
        DamagedRunError, match=r"signals is damaged in rows 0 to 63 .*`salus verify`"
    ):
        open_run(copy)[0]["signals"]
    assert np.isfinite(open_run(copy)[2]["signals"]).any()  # others are read
    anyway = open_run(copy, check=False)
    assert np.isnan(anyway[0]["signals"][:64]).all()
    assert np.isfinite(anyway[0]["signals"][64:]).any()


def test_arrays_of_a_run_without_checksums_are_checked(copy):
    forget_checksums(copy)
    found = verify_run(copy)
    assert found.damage == []
    assert "has no checksums" in found.notes[0]
    shards = [path for path in files(copy / "data.zarr/data") if path.name == "0"]
    for shard in shards[::4]:
        kept = shard.read_bytes()
        flip(shard, 10, 0)
        assert len(verify_run(copy).damage) == 1
        shard.unlink()
        assert len(verify_run(copy).damage) == 1
        with pytest.raises(DamagedRunError, match="is missing"):
            read_all(copy)
        shard.write_bytes(kept)


@pytest.mark.parametrize(
    ("key", "change", "said"),
    [
        ("meta/episode_ends", {"shape": [10**9]}, "is missing"),
        ("data/signals", {"shape": [3, 12]}, "has 3 rows instead of 306"),
        (
            "data/image/front",
            {"shape": [306, 2**20, 2**20, 3]},
            "announces chunks of|cannot be read",
        ),
        ("data/step", {"shape": "many"}, "cannot be read"),
        ("data/step", {"codecs": [[[]]]}, "cannot be read"),
    ],
)
def test_documents_that_announce_what_is_not_there_are_refused(copy, key, change, said):
    forget_checksums(copy)
    path = copy / "data.zarr" / key / "zarr.json"
    document = {**json.loads(path.read_text()), **change}
    if isinstance(document["shape"], list) and key == "data/image/front":
        document["chunk_grid"]["configuration"]["chunk_shape"] = [256, 2**20, 2**20, 3]
        document["codecs"][0]["configuration"]["chunk_shape"] = [4, 2**20, 2**20, 3]
    path.write_text(json.dumps(document))
    with pytest.raises(NotARunError, match=said):
        read_all(copy)


def crashed(root, schema):
    writer = EpisodeWriter(root, schema)
    write_episode(writer, 0, 20)
    writer.abandon("it died")
    return writer.path


def test_a_recovered_run_has_checksums(tmp_path, schema):
    path = crashed(tmp_path, schema)
    assert "is open" in verify_run(path).notes[0]
    (recovery,) = recover_root(tmp_path)
    assert isinstance(recovery, Recovery)
    found = verify_run(path)
    assert (found.damage, found.notes) == ([], [])
    flip(path / "data.zarr/data/action/c/0/0", 9, 1)
    assert len(verify_run(path).damage) == 1


@pytest.mark.parametrize(
    "name", ["data.zarr/data/step/c", "recorder.log", "metadata.json", ".lock"]
)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_recovery_follows_no_link_and_waits_at_no_pipe(tmp_path, schema, name, kind):
    root, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    path = crashed(root, schema)
    other = crashed(root, schema)
    victim = path / name
    victim.rename(elsewhere)
    if kind == "pipe":
        os.mkfifo(victim)
    else:
        victim.symlink_to(elsewhere)
        if elsewhere.is_dir():
            (elsewhere / "17").mkdir()
    content = sorted(p.name for p in elsewhere.iterdir()) if elsewhere.is_dir() else None
    results = {one.path: one for one in recover_root(root)}
    assert isinstance(results[path], Unrecovered)
    assert str(victim) in str(results[path])
    assert isinstance(results[other], Recovery)  # the next one is cleaned up all the same
    if content is not None:
        assert sorted(p.name for p in elsewhere.iterdir()) == content


def test_recovery_cuts_nothing_by_ends_that_make_no_sense(tmp_path, schema):
    writer = EpisodeWriter(tmp_path, schema)
    write_episode(writer, 0, 20)
    write_episode(writer, 1, 20)
    writer._ends._tail[:2] = (40, 20)
    writer._ends._saved_rows = 0
    writer._ends.save()
    writer.abandon("it died")
    before = {path: path.read_bytes() for path in files(writer.path)}
    (found,) = recover_root(tmp_path)
    assert isinstance(found, Unrecovered)
    assert "episode_ends does not ascend" in str(found)
    assert {path: path.read_bytes() for path in files(writer.path)} == before
