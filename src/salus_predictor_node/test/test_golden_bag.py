# SPDX-License-Identifier: Apache-2.0
"""The golden bag: recorded live forecasts, the node of today, and offline replay agree."""

import json

import numpy as np
import pytest
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from salus_core.bags.errors import BagError
from salus_core.bags.recording import read_bag
from salus_core.bags.steps import steps_of_bags
from salus_core.commands.replay import StreamedPredictor, main, read_recordings
from salus_core.predictors.checkpoint import load_checkpoint

golden = pytest.importorskip("golden")


@pytest.fixture(scope="module")
def predictor():
    return load_checkpoint(golden.CHECKPOINT)[0]


@pytest.fixture(scope="module")
def recording(predictor):
    return read_recordings([golden.BAG], predictor)


def copy(path, change=lambda topic: topic, plugin=StoragePlugin.SQLITE3, keep=lambda topic: True):
    """The golden bag, stored or named in another way."""
    writer = Writer(path, version=9, storage_plugin=plugin)
    with Reader(golden.BAG) as reader, writer:
        connections = {
            connection.id: writer.add_connection(
                change(connection.topic),
                connection.msgtype,
                msgdef=connection.msgdef.data,
                rihs01=connection.digest,
            )
            for connection in reader.connections
            if keep(connection.topic)
        }
        for connection, stamp, data in reader.messages():
            if connection.id in connections:
                writer.write(connections[connection.id], stamp, data)
    return path


def test_offline_replay_agrees_with_the_recorded_live_forecasts(predictor, recording):
    found = StreamedPredictor(predictor).scores(recording.data)
    there = np.isfinite(recording.recorded).all(axis=(1, 2))
    assert there.sum() == len(recording.data) >= 60
    np.testing.assert_allclose(found[there], recording.recorded[there], rtol=0, atol=1e-6)
    assert recording.predictor_hashes == (predictor.hash,)
    assert found.std() > 0.003  # forecasts that say something


def test_a_bag_of_version_0_1_is_read_as_it_was_recorded(predictor, recording):
    """Its actions are seven fixed numbers, and no message has the fields that came later."""
    old = read_recordings([golden.OLD_BAG], predictor)
    for name in ("signals", "proprioception", "action", "action_std", "embedding", "labels"):
        one, other = getattr(old.data, name), getattr(recording.data, name)
        np.testing.assert_array_equal(one, other, err_msg=name)
    # Its forecasts were made before quaternions got one sign: they are there, and are others.
    assert np.isfinite(old.recorded).all()


@pytest.mark.parametrize("bag", [golden.BAG, golden.OLD_BAG])
def test_no_machines_path_is_in_a_bag(bag):
    content = next(bag.glob("*.mcap")).read_bytes()
    assert b"golden/checkpoint" in content
    assert b"/golden/checkpoint" not in content


def test_step_by_step_and_in_batches_are_the_same(predictor, recording):
    streamed = StreamedPredictor(predictor).scores(recording.data)
    np.testing.assert_allclose(predictor.scores(recording.data), streamed, rtol=0, atol=1e-6)


def test_what_the_bag_says_of_its_episodes_is_read(recording):
    table = recording.data.episodes
    assert len(table) == 2
    assert recording.data.members == 2
    assert (table.succeeded | table.failed).all()
    assert recording.data.schema_hash == "made up"
    assert recording.number.tolist() == [1] * int(table.length[0]) + [2] * int(table.length[1])
    assert (np.diff(recording.stamp[: table.length[0]]) > 0).all()


def test_sqlite3_and_a_single_mcap_file_are_read_alike(predictor, recording, tmp_path):
    for path in (copy(tmp_path / "bag"), next(golden.BAG.glob("*.mcap"))):
        again = read_recordings([path], predictor)
        np.testing.assert_array_equal(again.data.signals, recording.data.signals)
        np.testing.assert_array_equal(again.data.proprioception, recording.data.proprioception)
        np.testing.assert_array_equal(again.recorded, recording.recorded)


def test_the_command_writes_forecasts_and_says_that_they_agree(tmp_path, capsys):
    arguments = [str(golden.BAG), "--checkpoint", str(golden.CHECKPOINT), "--output", str(tmp_path)]
    assert main([*arguments, "--alpha", "0.2", "--replicates", "10"]) == 0
    assert "0 differ by more than 1e-6" in capsys.readouterr().out
    with np.load(tmp_path / "forecasts.npz") as saved:
        assert np.abs(saved["probabilities"] - saved["recorded"]).max() <= 1e-6
    assert json.loads((tmp_path / "metrics.json").read_text())["data"]["test"]["episodes"] == 2


def arranged(predictor, bag):
    return steps_of_bags([bag], predictor.source.proprioception_names, 1 / 30)


def golden_bag(predictor):
    return read_bag(golden.BAG, "", tuple(predictor.source.proprioception_names))


def test_steps_that_are_missing_are_rows_without_values_and_are_named(predictor):
    bag = golden_bag(predictor)
    del bag.steps[0].signals[7]
    bag.episodes[1].status = None
    found = arranged(predictor, bag)
    assert np.isnan(found.data.signals[7]).all()
    assert found.data.step[:9].tolist() == list(range(9))
    assert any("episode 1: 1 of its steps are not in the bag" in r for r in found.remarks)
    assert any("episode 2: its end is not in the bag" in remark for remark in found.remarks)
    last = found.data.rows(1)
    assert not found.data.label_valid[last][-1].any()


def test_an_episode_whose_beginning_is_missing_keeps_its_steps_in_their_rows(predictor, recording):
    bag = golden_bag(predictor)
    for step in range(5):
        del bag.steps[0].signals[step]
    found = arranged(predictor, bag)
    assert found.data.step.tolist() == recording.data.step.tolist()
    assert np.isnan(found.data.signals[:5]).all()
    assert not found.data.label_valid[:5].any()
    np.testing.assert_array_equal(found.data.labels, recording.data.labels)
    np.testing.assert_array_equal(found.data.label_valid[5:], recording.data.label_valid[5:])
    assert any("episode 1 begins at step 5" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("options", "namespace", "message"),
    [
        ({"keep": lambda topic: "vla_signals" not in topic}, "", "has no topic 'vla_signals'"),
        ({}, "/robot2", "has no /robot2/vla_signals"),
    ],
)
def test_what_a_bag_lacks_is_named(tmp_path, options, namespace, message):
    with pytest.raises(BagError, match=message):
        read_bag(copy(tmp_path / "bag", **options), namespace)


def test_no_bag_and_a_mixture_are_refused(tmp_path, predictor, capsys):
    (tmp_path / "metadata.yaml").write_text("nothing")
    with pytest.raises(BagError, match="cannot be read as a bag"):
        read_bag(tmp_path)
    with pytest.raises(BagError, match="is a bag and"):
        read_recordings([golden.BAG, golden.CHECKPOINT], predictor)
    assert main(["/nowhere", "--checkpoint", str(golden.CHECKPOINT)]) == 1
    assert capsys.readouterr().err == "salus replay: /nowhere does not exist\n"


@pytest.mark.ros
def test_the_node_of_today_gives_the_forecasts_of_the_golden_bag(ros, tmp_path, recording):
    data = golden.made_up_steps()
    live = golden.record(data, golden.CHECKPOINT, tmp_path / "bag")
    numbers = np.array([forecast.probabilities for forecast in live]).reshape(-1, 4, 4)
    np.testing.assert_allclose(numbers, recording.recorded, rtol=0, atol=1e-6)
