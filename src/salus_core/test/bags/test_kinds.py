# SPDX-License-Identifier: Apache-2.0
"""Bags that go wrong in the field: read right, or refused in one line that names the cause."""

import dataclasses
import math
import shutil
import struct
import zlib

import numpy as np
import pytest
from golden_copies import BAG, CHECKPOINT, copy, numbered, stamped
from rosbags.rosbag2 import StoragePlugin

from salus_core.bags.errors import BagError
from salus_core.bags.mcap_file import McapFile
from salus_core.bags.recording import read_bag
from salus_core.bags.steps import steps_of_bags
from salus_core.commands.replay import StreamedPredictor, main, read_recordings
from salus_core.predictors.checkpoint import load_checkpoint

BODY = ("joint_states", "tool_pose")
MS = 1_000_000


@pytest.fixture(scope="module")
def predictor():
    return load_checkpoint(CHECKPOINT)[0]


def replay(path, *options, output):
    given = ["--checkpoint", str(CHECKPOINT), "--alpha", "0.2", "--replicates", "10"]
    return main([str(path), *given, "--output", str(output), *options])


def require_equal(predictor, path, tolerance=0.0):
    """All 80 forecasts are those that were recorded live."""
    found = read_recordings([path], predictor, stamp_tolerance=tolerance)
    forecasts = StreamedPredictor(predictor).scores(found.data)
    assert len(found.data) == 80
    assert np.isfinite(found.recorded).all()
    np.testing.assert_allclose(forecasts, found.recorded, rtol=0, atol=1e-6)
    assert found.data.missing["proprioception"] == 0
    return found


def test_a_second_collection_that_numbers_from_1_again_is_two_more_episodes(predictor, tmp_path):
    path = copy(tmp_path / "bag", lambda topic, m: [(0, numbered(m, {1: 1, 2: 1}))])
    found = require_equal(predictor, path)
    original = read_recordings([BAG], predictor).data.episodes
    np.testing.assert_array_equal(found.data.episodes.outcome, original.outcome)
    np.testing.assert_array_equal(found.data.episodes.seed, original.seed)
    assert set(found.number) == {1}
    assert any("episode 1 begins after episode 1" in remark for remark in found.remarks)


@pytest.mark.parametrize("late", [0, 90 * MS], ids=["in order", "joints late"])
def test_stamps_that_restart_with_each_episode_mix_nothing(predictor, tmp_path, late):
    begin = {1: 1000, 2: 2000}  # stamps of the golden bag's episodes begin there [s]

    def change(topic, message):
        if not hasattr(message, "header") or topic in ("signal_info", "forecast_info"):
            return [(0, message)]
        second = message.header.stamp.sec >= begin[2]
        moved = stamped(message, -1000 * 10**9) if second else message
        return [(late if topic == "joint_states" else 0, moved)]

    found = require_equal(predictor, copy(tmp_path / "bag", change))
    assert any("went back" in remark for remark in found.remarks)


def test_numbers_and_stamps_that_both_restart_mix_nothing(predictor, tmp_path):
    def change(topic, message):
        if topic in ("signal_info", "forecast_info"):
            return [(0, message)]
        second = message.header.stamp.sec >= 2000
        message = stamped(message, -1000 * 10**9) if second else message
        return [(0, numbered(message, {1: 1, 2: 1}))]

    require_equal(predictor, copy(tmp_path / "bag", change))


def test_arm_and_gripper_in_separate_messages_are_merged(predictor, tmp_path):
    def change(topic, message):
        if topic != "joint_states":
            return [(0, message)]
        fingers = ["finger" in name for name in message.name]
        parts = []
        for delay, chosen in ((0, fingers), (200_000, [not finger for finger in fingers])):
            at = np.flatnonzero(chosen)
            parts.append(
                (
                    delay,
                    dataclasses.replace(
                        message,
                        name=[message.name[i] for i in at],
                        position=message.position[at],
                        velocity=message.velocity[at],
                    ),
                )
            )
        return parts

    require_equal(predictor, copy(tmp_path / "bag", change))


def test_joints_that_nobody_asked_for_may_be_nan(predictor, tmp_path):
    def change(topic, message):
        if topic != "joint_states":
            return [(0, message)]
        nan = [math.nan]
        return [
            (
                0,
                dataclasses.replace(
                    message,
                    name=[*message.name, "wheel"],
                    position=np.array([*message.position, *nan]),
                    velocity=np.array([*message.velocity, *nan]),
                ),
            )
        ]

    require_equal(predictor, copy(tmp_path / "bag", change))


def test_an_offset_of_the_body_is_said_and_matched_within_the_tolerance(
    predictor, tmp_path, capsys
):
    path = copy(tmp_path / "bag", lambda t, m: [(0, stamped(m, 2 * MS) if t in BODY else m)])
    assert replay(path, output=tmp_path / "out") == 1
    said = capsys.readouterr()
    assert "joint_states is missing at 80 of 80" in said.out
    assert "2 ms after" in said.out
    assert "--allow-missing proprioception" in said.err
    assert len(said.err.splitlines()) == 1
    require_equal(predictor, path, tolerance=0.005)
    assert replay(path, "--allow-missing", "proprioception", output=tmp_path / "out") == 0
    assert "2 ms after" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: dataclasses.replace(m, name=["x" + n for n in m.name]), "it has xpanda"),
        (lambda m: dataclasses.replace(m, position=np.array([])), "0 values of position"),
    ],
    ids=["renamed", "no positions"],
)
def test_a_body_that_was_never_seen_is_refused_with_its_reason(tmp_path, change, reason, capsys):
    path = copy(tmp_path / "bag", lambda t, m: [(0, change(m) if t == "joint_states" else m)])
    assert replay(path, output=tmp_path / "out") == 1
    said = capsys.readouterr()
    assert reason in said.out
    assert "no step of the test part has 'proprioception'" in said.err
    assert not (tmp_path / "out").exists()


def test_a_policy_that_was_never_checked_is_refused_or_allowed_by_name(tmp_path, capsys):
    path = copy(tmp_path / "bag", lambda t, m: [] if t == "signal_info" else [(0, m)])
    assert replay(path, output=tmp_path / "out") == 1
    assert "--allow-unchecked-policy" in capsys.readouterr().err
    assert replay(path, "--allow-unchecked-policy", output=tmp_path / "out") == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"failure": 9}, "failure type 9 does not exist"),
        ({"state": 9}, "EpisodeStatus.state is 9"),
        ({"state": 1, "failure": 1, "onset_step": 0}, "any other has none"),
        ({"state": 2, "failure": 1, "onset_step": 2**32 - 1}, "onset_step is 4294967295"),
    ],
)
def test_an_end_that_cannot_be_is_refused_in_one_line(tmp_path, fields, said, capsys):
    def change(topic, message):
        wrong = topic == "episode" and message.state != 0 and message.episode == 2
        given = {"state": 2, **fields}
        return [(0, dataclasses.replace(message, **given) if wrong else message)]

    path = copy(tmp_path / "bag", change)
    assert replay(path, output=tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert said in error
    assert str(path) in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("field", "size"), [("action", 6), ("action", 14), ("action_std", 3), ("embedding", 5)]
)
def test_a_wrong_length_is_refused_with_both_lengths(predictor, field, size):
    names = tuple(predictor.source.proprioception_names)
    bag = read_bag(BAG, "", names)
    signals = bag.steps[0].signals
    kind = getattr(signals[3], field).dtype
    signals[3] = dataclasses.replace(signals[3], **{field: np.zeros(size, kind)})
    expected = {"action": 7, "action_std": 7, "embedding": 16}[field]
    said = f"episode 1 step 3: {field} has {size} numbers, but signal_info says {expected}"
    with pytest.raises(BagError, match=said):
        steps_of_bags([bag], names, 1 / 30)


def test_a_step_number_beyond_all_bounds_is_refused_without_allocating(predictor, tmp_path):
    def change(topic, message):
        if topic == "vla_signals" and message.step == 39:
            message = dataclasses.replace(message, step=2**32 - 1)
        return [(0, message)]

    with pytest.raises(BagError, match="has a step 4294967295"):
        read_recordings([copy(tmp_path / "bag", change)], predictor)


def test_a_bag_without_metadata_is_read(predictor, tmp_path):
    for number, plugin in enumerate((StoragePlugin.MCAP, StoragePlugin.SQLITE3)):
        path = copy(tmp_path / f"bag{number}", plugin=plugin)
        (path / "metadata.yaml").unlink()
        require_equal(predictor, path)


@pytest.mark.parametrize("part", [0.97, 0.6, 0.3])
def test_a_file_that_a_crash_cut_off_is_read_up_to_the_last_whole_message(
    predictor, tmp_path, part
):
    path = tmp_path / "bag"
    shutil.copytree(BAG, path)
    file = path / "bag.mcap"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(part * len(whole))])
    original = read_recordings([BAG], predictor)
    found = read_recordings([path], predictor)
    assert any("bag.mcap breaks off at byte" in remark for remark in found.remarks)
    there = np.flatnonzero(found.data.valid.any(axis=1))
    assert len(there) > 80 * part - 20
    np.testing.assert_array_equal(
        found.data.signals[there], original.data.signals[: len(original.data)][there]
    )


def test_every_cut_of_a_file_is_read_or_refused_by_name(tmp_path):
    """No cut gives a traceback or a message that was never whole."""
    whole = (BAG / "bag.mcap").read_bytes()
    messages = [data for _, _, data in McapFile(BAG / "bag.mcap").messages()]
    file = tmp_path / "cut.mcap"
    for size in [*range(8, 700, 7), *range(700, len(whole), 997)]:
        file.write_bytes(whole[:size])
        found = [data for _, _, data in McapFile(file).messages()]
        assert found == messages[: len(found)]
    for size in range(8):
        file.write_bytes(whole[:size])
        with pytest.raises(BagError, match=r"cut\.mcap"):
            list(McapFile(file).messages())


CHUNK = 43
"""Where the golden bag's only chunk begins; it is not compressed and has no checksum."""


@pytest.mark.parametrize("at", [60, 5000, 40000])
def test_a_damaged_chunk_is_named_with_file_and_remedy(tmp_path, at, capsys):
    path = tmp_path / "bag"
    shutil.copytree(BAG, path)
    file = path / "bag.mcap"
    data = bytearray(file.read_bytes())
    records = CHUNK + 9 + 28 + 4 + 8
    (length,) = struct.unpack_from("<Q", data, records - 8)
    checksum = zlib.crc32(data[records : records + length])
    struct.pack_into("<I", data, CHUNK + 9 + 24, checksum)
    data[at : at + 64] = bytes(byte ^ 0xA5 for byte in data[at : at + 64])
    file.write_bytes(data)
    assert replay(path, output=tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert str(path) in error
    assert "damaged" in error
    assert len(error.splitlines()) == 1


def test_an_empty_file_and_a_text_are_refused_by_name(predictor, tmp_path):
    file = tmp_path / "a.mcap"
    for content, said in ((b"", "is empty"), (b"some text here", "is no MCAP file")):
        file.write_bytes(content)
        with pytest.raises(BagError, match=rf"a\.mcap {said}"):
            read_recordings([file], predictor)


def test_a_record_that_says_it_is_endless_allocates_nothing(tmp_path):
    file = tmp_path / "a.mcap"
    file.write_bytes(b"\x89MCAP0\r\n" + struct.pack("<BQ", 6, 2**63) + b"x" * 100)
    with pytest.raises(BagError, match="damaged at byte 8"):
        list(McapFile(file).messages())


def test_a_bag_by_two_spellings_is_not_counted_twice(predictor, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(BAG)
    with pytest.raises(BagError, match="is given twice"):
        read_recordings([BAG, link], predictor)
