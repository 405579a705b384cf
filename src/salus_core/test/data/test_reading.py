# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from salus_core.actions import TOOL_MOTION
from salus_core.data import DataError, Split, make_windows, read_steps
from salus_core.data.scene import HINDSIGHT, SCENE_NAMES
from salus_core.data.testing import JOINT_NAMES, make_steps
from salus_core.episode_store import EpisodeEnd, EpisodeStart, EpisodeWriter, Fault, RunSchema
from salus_core.failures import FailureType, Outcome
from salus_core.signals import SIGNAL_NAMES

CHUNK = (2, 4, 7)


def make_schema(objects=("red_cube", "blue_cube")):
    return RunSchema(
        control_period=1 / 30,
        signal_names=SIGNAL_NAMES,
        signal_units=("",) * 12,
        signal_definitions=("",) * 12,
        signal_available=(True,) * 12,
        joint_names=JOINT_NAMES,
        object_names=objects,
        action=dataclasses.replace(TOOL_MOTION, scale=(0.1,) * 7),
        embedding_size=6,
        chunk_shape=CHUNK,
        policy="test",
        policy_hash="00",
        members=2,
        schema_hash="11",
    )


def make_row(step, gap=""):
    state = np.full(25, 0.1 * step)
    state[-4:] = 0.5  # a rotation
    poses = np.full((2, 7), np.nan)
    poses[0, :3] = [0.5, 0.1, 0.02]
    poses[1, :3] = [0.5, 0.4, 0.02]
    row = {
        "timestamp": float(step),
        "step": step,
        "complete": not gap,
        "action": np.full(7, float(step)),
        "action_std": np.full(7, 0.5, "f4"),
        "state": state,
        "signals": np.where(np.arange(12) < 4, np.nan, step).astype("f4"),
        "signals_valid": np.arange(12) >= 4,
        "embedding": np.full(6, step, "f4"),
        "chunk": np.full(CHUNK, step, "f4"),
        "object_pose": poses,
        "grasped_object": np.int16(0 if step > 5 else -1),
    }
    if gap == "signals":
        row["action"] = np.full(7, np.nan)
    if gap == "body":
        row["state"] = np.full(25, np.nan)
    return row


@pytest.fixture
def root(tmp_path):
    """Seeds 10 success, 11 collision at 20 of 20 after a fault, 12 drop at 15, 13 aborted."""
    writer = EpisodeWriter(tmp_path, make_schema())
    ends = [
        EpisodeEnd(20, Outcome.SUCCEEDED),
        EpisodeEnd(
            20, Outcome.FAILED, FailureType.COLLISION, 20, (Fault("arm_force", 9.0, "N", 12, 3),)
        ),
        EpisodeEnd(
            20, Outcome.FAILED, FailureType.DROP, 15, (Fault("arm_force", 9.0, "N", 18, 3),)
        ),
        EpisodeEnd(20, Outcome.ABORTED),
    ]
    for number, end in enumerate(ends):
        writer.begin_episode(
            EpisodeStart(
                number=number,
                seed=10 + number,
                instruction="push the red cube to the goal",
                task="push" if number else "",
                target_object="red_cube",
                goal_pose=(0.6, 0.0, 0, 0, 0, 0, 1),
                max_steps=200,
            )
        )
        for step in range(20):
            gap = {3: "signals", 4: "body"}.get(step, "") if number == 0 else ""
            writer.append(make_row(step, gap))
        writer.commit(end)
    writer.close()
    return tmp_path


def test_steps_come_end_to_end_with_labels_from_the_outcome(root):
    data = read_steps(root, chunks=True)
    assert len(data) == 80
    assert data.episodes.seed.tolist() == [10, 11, 12, 13]
    assert data.labels[:20].sum() == 0
    collision = data.labels[20:40, 0, 0]
    assert np.flatnonzero(collision).tolist() == list(range(14, 20))
    assert not data.label_valid[40 + 15 : 60].any()
    assert data.censored[60 + 5 : 80].all()
    assert data.chunk.shape == (80, *CHUNK)
    assert data.embedding.dtype == np.float16
    assert data.members == 2


def test_a_failure_is_injected_only_if_a_fault_had_begun(root):
    table = read_steps(root).episodes
    assert table.injected.tolist() == [False, True, False, False]
    assert table.faults[2] == ("arm_force",)


def test_episodes_without_a_task_are_grouped_by_their_instruction(root):
    task = read_steps(root).episodes.task
    assert task.tolist() == ["push the red cube to the goal", "push", "push", "push"]


def test_a_missing_message_blanks_what_the_live_node_lacks_too(root):
    data = read_steps(root)
    assert np.isnan(data.action[3]).all()
    assert np.isnan(data.embedding[3]).all()
    assert not data.valid[3].any()
    assert np.isnan(data.proprioception[4]).all()
    assert np.isfinite(data.action[4]).all()


def test_a_robot_without_a_tool_pose_keeps_its_joints(tmp_path):
    writer = EpisodeWriter(tmp_path, make_schema())
    writer.begin_episode(EpisodeStart(0, seed=0))
    for step in range(5):
        row = make_row(step)
        row["state"][-7:] = np.nan
        if step == 2:
            row["state"][:] = np.nan
        writer.append(row)
    writer.commit(EpisodeEnd(5, Outcome.SUCCEEDED))
    writer.close()
    data = read_steps(tmp_path)
    assert np.isfinite(data.proprioception[:, 0]).tolist() == [True, True, False, True, True]
    assert not any(name.startswith("tool.") for name in data.known_proprioception)
    assert data.missing["proprioception"] == 1


def test_splits_pick_episodes_by_seed_and_say_when_none_is_left(root):
    assert read_steps(root, Split("train", 11, 12)).episodes.seed.tolist() == [11, 12]
    with pytest.raises(DataError, match=r"no episode with seeds 90 to 99 \(split 'test'\)"):
        read_steps(root, Split("test", 90, 99))
    stacks = Split("train", 11, 12, tasks=("stack",))
    with pytest.raises(DataError, match=r"no episode of stack with seeds 11 to 12"):
        read_steps(root, stacks)
    pushes = Split("train", 10, 12, tasks=("push",))  # the first one's task is not known
    assert read_steps(root, pushes).episodes.seed.tolist() == [10, 11, 12]


def test_a_run_given_twice_is_read_once(root):
    run = next(path for path in root.iterdir() if path.is_dir())
    assert len(read_steps([root, run, str(run) + "*"])) == 80


def record(folder, *episodes, **schema):
    """A run of (seed, difficulty, steps, outcome)."""
    writer = EpisodeWriter(folder, dataclasses.replace(make_schema(), **schema))
    for number, (seed, difficulty, length, outcome) in enumerate(episodes):
        writer.begin_episode(EpisodeStart(number=number, seed=seed, difficulty=difficulty))
        for step in range(length):
            row = make_row(step)
            row["state"] = row["state"][-len(writer.schema.state_names) :]
            writer.append(row)
        writer.commit(EpisodeEnd(length, outcome))
    writer.close()


def test_of_a_seed_that_was_played_twice_the_episode_that_ended_is_read(tmp_path):
    record(tmp_path / "a", (3, "easy", 4, Outcome.ABORTED), (4, "easy", 5, Outcome.SUCCEEDED))
    record(tmp_path / "b", (3, "easy", 9, Outcome.SUCCEEDED), (4, "easy", 6, Outcome.SUCCEEDED))
    data = read_steps([tmp_path / "a", tmp_path / "b"])
    assert sorted(zip(data.episodes.seed, data.episodes.length, strict=True)) == [(3, 9), (4, 5)]
    for episode, rows in data.iterate():
        assert data.step[rows].tolist() == list(range(data.episodes.length[episode]))
        np.testing.assert_array_equal(data.action[rows, 0], data.step[rows])


def test_a_robot_whose_episodes_have_no_seed_loses_none(tmp_path):
    record(tmp_path / "a", *[(0, "", 4, Outcome.SUCCEEDED)] * 3)
    record(tmp_path / "b", *[(0, "", 4, Outcome.SUCCEEDED)] * 2)
    assert len(read_steps([tmp_path / "a", tmp_path / "b"]).episodes) == 5


def test_runs_whose_columns_differ_are_no_data_set(tmp_path):
    record(tmp_path / "a", (1, "easy", 2, Outcome.SUCCEEDED))
    record(tmp_path / "b", (2, "easy", 2, Outcome.SUCCEEDED), joint_names=("one", "two"))
    with pytest.raises(DataError, match="cannot be one data set: state_names"):
        read_steps([tmp_path / "a", tmp_path / "b"])
    record(tmp_path / "c", (3, "easy", 2, Outcome.SUCCEEDED), schema_hash="22")
    with pytest.raises(DataError, match="cannot be one data set: schema_hash"):
        read_steps([tmp_path / "a", tmp_path / "c"])


def test_ground_truth_is_relative_to_the_tool(root):
    data = read_steps(root, scene=True)
    scene = dict(zip(SCENE_NAMES, data.scene[21], strict=True))
    assert scene["target.x"] == pytest.approx(0.5 - 0.1)
    assert scene["goal.x"] == pytest.approx(0.6 - 0.1)
    assert scene["neighbour.y"] == pytest.approx(0.4 - 0.1)
    assert scene["grasped"] == 0
    assert data.scene[27, SCENE_NAMES.index("grasped")] == 1


def test_a_grasp_is_told_in_the_frame_of_the_hand(tmp_path):
    writer = EpisodeWriter(tmp_path, make_schema(objects=("red_cube", "blue_cube")))
    writer.begin_episode(EpisodeStart(0, seed=0, target_object="red_cube"))
    rows = []
    for step, (sideways, height, width) in enumerate(
        [(0.03, 0.02, 0.08), (0.01, 0.02, 0.08), (0.01, 0.02, 0.03), (0.3, 0.02, 0.08)]
    ):
        row = make_row(step)
        tool = row["state"][-7:]
        # The hand points down and is turned by a right angle: its fingers move along x.
        tool[:] = [0.5, 0.1, 0.02, np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0]
        row["object_pose"][0, :3] = [0.5 + sideways, 0.1, height]
        row["gripper_width"], row["grasped_object"] = np.float32(width), -1
        rows.append(row)
        writer.append(row)
    writer.commit(EpisodeEnd(len(rows), Outcome.SUCCEEDED))
    writer.close()
    scene = read_steps(tmp_path, scene=True).scene
    columns = {name: scene[:, SCENE_NAMES.index(name)] for name in SCENE_NAMES}
    # Too far aside, between the fingers, fingers already too narrow, out of reach.
    along = np.abs(columns["grasp.along"])
    np.testing.assert_allclose(along, [0.03, 0.01, 0.01, np.nan], atol=1e-6)
    np.testing.assert_allclose(columns["grasp.across"][:3], 0.0, atol=1e-6)
    np.testing.assert_allclose(columns["target.half_size"], 0.02, atol=1e-6)
    np.testing.assert_array_equal(columns["enclosed"], [0.0, 1.0, 0.0, np.nan])
    assert np.isnan(columns["held.z"]).all()


def test_the_obstacle_is_told_from_other_objects(tmp_path):
    writer = EpisodeWriter(tmp_path, make_schema(objects=("red_cube", "obstacle")))
    for number, change in enumerate(("there", "none", "no message")):
        writer.begin_episode(EpisodeStart(number, seed=number, target_object="red_cube"))
        row = make_row(0)
        row["object_pose"][1, 2] = 0.075
        if change != "there":
            row["object_pose"][1 if change == "none" else slice(None)] = np.nan
        writer.append(row)
        writer.commit(EpisodeEnd(1, Outcome.SUCCEEDED))
    writer.close()
    names = ("obstacle.y", "obstacle.top", "obstacle.present", "neighbour.distance")
    found = read_steps(tmp_path, scene=True).scene[:, [SCENE_NAMES.index(name) for name in names]]
    np.testing.assert_allclose(found[0], [0.4, 0.15, 1.0, np.nan], rtol=1e-6)
    np.testing.assert_array_equal(found[1], [np.nan, np.nan, 0.0, np.nan])
    assert np.isnan(found[2]).all()


def test_sinking_and_the_gap_over_the_obstacle_follow_the_load(tmp_path):
    writer = EpisodeWriter(tmp_path, make_schema(objects=("red_cube", "obstacle")))
    goal = (0.55, 0.1, 0.02, 0, 0, 0, 1)
    writer.begin_episode(EpisodeStart(0, seed=0, target_object="red_cube", goal_pose=goal))
    for step in range(15):
        row = make_row(step)
        row["state"][-7:] = [0.5, 0.1, 0.02 if step == 0 else 0.2, 1.0, 0.0, 0.0, 0.0]
        height = 0.02 if step == 0 else 0.2 - 0.001 * step
        row["object_pose"][:, :3] = [[0.5, 0.1, height], [0.5, 0.2, 0.08]]
        row["grasped_object"] = -1 if step == 0 else 0
        writer.append(row)
    writer.commit(EpisodeEnd(15, Outcome.SUCCEEDED))
    writer.close()
    data = read_steps(tmp_path, scene=True)
    names = ("sinking", "gap", "held.z", "creep", "near_goal.up")
    sinking, gap, held, creep, up = (data.scene[:, SCENE_NAMES.index(name)] for name in names)
    np.testing.assert_array_equal(sinking[:6], np.nan)
    np.testing.assert_allclose(held, [np.nan, *(-0.001 * np.arange(1, 15))], atol=1e-6)
    np.testing.assert_allclose(sinking[6:], 0.001 / data.control_period, rtol=1e-3)
    # The load's lower side is 2 cm below its centre, the obstacle's top at 16 cm.
    assert gap[10] == pytest.approx(0.19 - 0.02 - 0.16, abs=1e-6)
    assert up[10] == pytest.approx(0.19 - 0.02 - 0.02, abs=1e-6)
    np.testing.assert_allclose(creep, 0.001 / data.control_period, rtol=1e-3)


def test_the_scene_of_a_step_does_not_depend_on_later_ones(tmp_path):
    writer = EpisodeWriter(tmp_path, make_schema(objects=("red_cube", "obstacle")))
    for number, length in enumerate((30, 17)):
        writer.begin_episode(EpisodeStart(number, seed=number, target_object="red_cube"))
        for step in range(length):
            row = make_row(step)
            row["state"][-7:] = [0.5, 0.1, 0.02 + 0.002 * step, 1.0, 0.0, 0.0, 0.0]
            row["object_pose"][:, :3] = [[0.5, 0.1, 0.02 + 0.001 * step], [0.5, 0.2, 0.08]]
            row["grasped_object"] = -1 if step < 8 else 0
            writer.append(row)
        writer.commit(EpisodeEnd(length, Outcome.SUCCEEDED))
    writer.close()
    scene = read_steps(tmp_path, scene=True).scene
    causal = [i for i, name in enumerate(SCENE_NAMES) if name not in HINDSIGHT]
    np.testing.assert_array_equal(scene[:17, causal], scene[30:, causal])
    hindsight = [SCENE_NAMES.index(name) for name in HINDSIGHT]
    assert np.isfinite(scene[:17, hindsight]).any()
    assert np.isnan(scene[30:, hindsight]).all()


def test_windows_stay_within_the_episode():
    data = make_steps(4)
    windows = make_windows(data, 5)
    second = data.episodes.start[1]
    assert windows.present[second].tolist() == [False] * 4 + [True]
    assert (data.episode[windows.rows[second]] == 1).all()
    values = windows.of(data.step[:, None].astype(float), slice(second + 1, second + 2))
    assert values[0, :, 0].tolist() == [0, 0, 0, 0, 1]


def test_selecting_keeps_episodes_whole():
    data = make_steps(6)
    part = data.select(data.episodes.failed)
    assert len(part.episodes) == data.episodes.failed.sum()
    assert part.episodes.failed.all()
    for new, old in enumerate(np.flatnonzero(data.episodes.failed)):
        np.testing.assert_array_equal(part.signals[part.rows(new)], data.signals[data.rows(old)])
        assert (part.episode[part.rows(new)] == new).all()


def test_a_robot_without_known_objects_has_no_ground_truth_but_the_tool(tmp_path):
    writer = EpisodeWriter(tmp_path, make_schema(objects=()))
    writer.begin_episode(EpisodeStart(number=0))
    row = make_row(0)
    del row["object_pose"]
    writer.append(row)
    writer.commit(EpisodeEnd(1, Outcome.SUCCEEDED))
    writer.close()
    data = read_steps(tmp_path, scene=True)
    assert np.isnan(data.scene[0, SCENE_NAMES.index("target.x")])
    assert data.scene[0, SCENE_NAMES.index("tool.z")] == 0.0


def test_steps_without_an_input_are_counted(root):
    # One step has no signals, so nothing of the policy and nothing to put the body to; one no body.
    counted = read_steps(root, chunks=True).missing
    assert counted == {
        "signals": 1,
        "proprioception": 2,
        "action": 1,
        "action_std": 1,
        "embedding": 1,
        "chunk": 0,
    }
    assert read_steps(root, embedding=False).missing["embedding"] == 80
