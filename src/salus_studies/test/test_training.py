# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
import torch

from salus_core.commands.boundary import OutputError
from salus_policies.backends.embedded.config import SCENE_POINTS, EmbeddedConfig
from salus_policies.backends.embedded.ensemble import EmbeddedEnsemble
from salus_policies.backends.embedded.inputs import camera_view, view_points
from salus_policies.backends.embedded.network import EmbeddedNetwork
from salus_sim.scene import load_scene
from salus_sim.world.mujoco_world import MujocoWorld
from salus_studies.policy_training import lessons, train_policy
from salus_studies.policy_training.frames import Frames, chunks_of
from salus_studies.policy_training.glimpses import glimpse
from salus_studies.policy_training.scene_values import scene_points, scene_values
from salus_studies.policy_training.trainer import Batches, heat_loss, losses

TINY = [
    *("--members", "2", "--demos", "2", "--rounds", "1", "--round-episodes", "1"),
    *("--glimpses", "8", "--views", "6", "--round-glimpses", "4"),
    *("--updates", "30", "20", "20", "--batch", "16", "--evaluate", "2"),
]  # fmt: skip


def frames(lengths):
    count, config = sum(lengths), EmbeddedConfig()
    size = config.image_size
    return Frames(
        images=np.zeros((count, 2, size, size, 3), np.uint8),
        proprioception=np.zeros((count, len(config.proprioception)), np.float32),
        tokens=np.ones((count, 16), np.int64),
        chunk=np.zeros((count, config.chunk_length, 7), np.float32),
        scene=np.zeros((count, len(config.scene_targets)), np.float32),
        points=np.zeros((count, 2, len(SCENE_POINTS), 2), np.float32),
        episode=np.repeat(np.arange(len(lengths)), lengths),
    )


def test_chunks_repeat_an_episodes_last_action():
    actions = np.repeat(np.arange(5.0)[:, None], 7, 1)
    chunks = chunks_of(actions, 3)
    assert chunks[:, :, 0].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 4], [4, 4, 4]]


def test_a_glimpse_is_drawn_more_often_than_a_step_of_an_episode():
    data = frames([1, 1, 98])
    data.chunk[:2] = 1.0
    _, _, _, _, chunks, *_ = Batches(data, EmbeddedConfig(), seed=0, size=4000).draw()
    share = float((chunks[:, 0, 0] > 0).float().mean())
    assert 2.5 * 0.02 < share < 0.2


def test_glimpses_show_the_target_in_and_out_of_the_hand_and_are_repeatable():
    world = MujocoWorld(load_scene())
    views = [glimpse(world, EmbeddedConfig(), seed, "standard") for seed in range(12)]
    again = glimpse(world, EmbeddedConfig(), 3, "standard")
    world.close()
    views = [view for view in views if view is not None]
    names = EmbeddedConfig().scene_targets
    held = {float(view.scene[0, names.index("target_held")]) for view in views}
    assert held == {0.0, 1.0}
    assert any(np.array_equal(again.images, view.images) for view in views)


def test_joined_frames_keep_their_episodes_apart(tmp_path):
    joined = Frames.join([frames([3, 4]), frames([2])])
    assert joined.episode.tolist() == [0] * 3 + [1] * 4 + [2] * 2
    joined.save(tmp_path / "f.npz")
    assert np.array_equal(Frames.load(tmp_path / "f.npz").chunk, joined.chunk)


def test_a_target_that_fell_from_the_table_is_no_lesson():
    world = MujocoWorld(load_scene())
    truth = world.reset(0, "easy", "none", tasks=("put_on",))
    assert np.isfinite(scene_values(truth, world.scenario, 0.0)[:6]).all()
    truth.object_poses[world.scenario.target][2] = -3.0
    values = scene_values(truth, world.scenario, 0.0)
    world.close()
    names = EmbeddedConfig().scene_targets
    assert {names[i] for i in np.flatnonzero(np.isnan(values))} >= {"target_z", "grasp_up"}
    assert np.nanmax(np.abs(values)) <= 1.0


def test_points_are_where_the_views_show_them():
    world, config = MujocoWorld(load_scene()), EmbeddedConfig()
    truth = world.reset(1, "easy", "none", tasks=("put_on",))
    start = world.scenario.objects[world.scenario.target].position
    truth = world.move_to(start + np.array([0.0, 0.0, 0.07]), 0.0, 1.0)
    target = world.scenario.target
    places = scene_points(world, truth, config)
    views = [camera_view(world.render(camera), camera, config) for camera in config.cameras]
    behind = world.project("front", np.array([[5.0, 0.0, 0.6]]))
    world.close()
    wanted = {"red": 0, "green": 1, "blue": 2}

    def pixel(camera, point):
        column, row = ((places[camera, SCENE_POINTS.index(point)] + 1) * 32).astype(int)
        return views[camera][row, column].astype(int)

    for seen in (pixel(0, "target"), pixel(1, "target")):
        if "yellow" in target:
            assert min(seen[:2]) > seen[2] + 40
        else:
            channel = next(c for name, c in wanted.items() if name in target)
            assert seen[channel] > 40 + max(np.delete(seen, channel))
    for tip in ("left_fingertip", "right_fingertip"):
        assert pixel(1, tip).max() < 90  # fingers are dark
    corners = [i for i, name in enumerate(SCENE_POINTS) if name.endswith("corner")]
    assert np.isnan(places[0, corners]).all()
    assert np.isfinite(places[1, corners]).all()
    assert np.isnan(behind).all()


def test_a_window_maps_images_and_points_alike():
    config = EmbeddedConfig()
    image = np.zeros((256, 256, 3), np.uint8)
    image[160:163, 128:131] = 255
    place = (np.array([129.5, 161.5]) / 128 - 1)[None]
    view = camera_view(image, "wrist", config)
    column, row = ((view_points(place, "wrist", config)[0] + 1) * 32).astype(int)
    assert view[row, column].tolist() == [255, 255, 255]
    assert view.sum() == 3 * 255
    assert camera_view(view, "wrist", config) is view
    assert np.isnan(view_points(np.array([[-0.9, 0.0]]), "wrist", config)).all()
    for height, width in ((320, 320), (256, 320)):
        with pytest.raises(ValueError, match=f"camera 'wrist': image is {width}x{height}"):
            camera_view(np.zeros((height, width, 3), np.uint8), "wrist", config)
    with pytest.raises(ValueError, match="camera 'front': image is 320x256"):
        camera_view(np.zeros((256, 320, 3), np.uint8), "front", config)


def test_a_view_without_actions_teaches_only_what_is_in_it():
    data = frames([2])
    data.chunk[0] = np.nan
    network = EmbeddedNetwork(EmbeddedConfig())
    images, present, proprioception, tokens, chunk, *labels = Batches(
        data, network.config, seed=0, size=16
    ).draw()
    output = network(images, present, proprioception, tokens)
    known = ~torch.isnan(chunk[:, 0, 0])
    assert 0 < known.sum() < 16
    parts = losses(output, chunk, *labels)
    wanted = (output.mean[known, 0, :, :] - chunk[known])[:, 0].abs().mean()
    torch.testing.assert_close(parts.error, wanted)
    nothing = losses(output, torch.full_like(chunk, torch.nan), *labels)
    assert nothing.action == 0.0
    assert nothing.scene == parts.scene > 0.0


def test_heat_is_least_wrong_where_the_point_is():
    points = torch.tensor([[[[0.1, -0.55], [np.nan, np.nan]]]])
    logits = torch.full((1, 1, 2, 1024), -20.0)
    place = (points[0, 0, 0] + 1) * 16 - 0.5
    low = place.floor().long()
    for right, down in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = torch.where(torch.tensor([right, down]) > 0, place - low, 1 - place + low).prod()
        logits[0, 0, 0, (low[1] + down) * 32 + low[0] + right] = share.log()
    best = heat_loss(logits, points)
    shifted = heat_loss(logits.roll(1, -1), points)
    logits[0, 0, 1, 7] = 50.0  # of a point that is not seen
    assert heat_loss(logits, points) == best
    assert best < 1.4  # the entropy of four cells is at most log 4
    assert shifted > best + 0.3


def test_stages_of_other_options_are_not_taken_up(tmp_path, capsys):
    (tmp_path / "options.json").write_text(json.dumps({"demos": 3}))
    assert train_policy.main(["--work", str(tmp_path), *TINY]) == 1
    assert "--demos 3" in capsys.readouterr().err


def test_stages_of_another_world_are_not_taken_up(tmp_path, monkeypatch):
    options = train_policy.parse(["--work", str(tmp_path), *TINY])
    path = tmp_path / "options.json"
    for _ in range(2):
        train_policy._same_options(path, options)
    begun = json.loads(path.read_text())
    assert {len(value) for value in begun["world"].values()} == {64}
    other = {**begun["world"], "scene": "another"}
    monkeypatch.setattr(train_policy, "world_hashes", lambda: other)
    with pytest.raises(OutputError, match=r"with another scene \(world in .*another --work"):
        train_policy._same_options(path, options)
    del begun["world"]
    path.write_text(json.dumps(begun))
    with pytest.raises(OutputError, match="another scene and rules and experts"):
        train_policy._same_options(path, options)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--only", "2"], "--only: must be a member's number from 0 to 1 (--members is 2)"),
        (["--only", "-1"], "--only"),
        (["--only", "all"], "or 'ensemble', got 'all'"),
        (["--members", "11"], "--members: must be 1 to 10"),
        (["--members", "0"], "--members: must be 1 to 10"),
    ],
)
def test_members_that_cannot_be_are_refused_at_once(tmp_path, capsys, arguments, problem):
    work = tmp_path / "work"
    with pytest.raises(SystemExit) as refusal:
        train_policy.main(["--work", str(work), *TINY, *arguments])
    assert refusal.value.code == 2
    assert problem in capsys.readouterr().err
    assert not work.exists()


def test_every_member_has_seeds_of_its_own():
    most = train_policy.parse(["--members", "10", "--only", "9"])
    last = lessons.DAGGER_SEED + lessons.SEEDS_PER_MEMBER * most.members
    assert last <= train_policy.VALIDATION_SEED
    assert train_policy.parse(["--only", "ensemble"]).only == "ensemble"


@pytest.mark.slow
def test_a_small_training_gives_an_ensemble_and_resumes(tmp_path):
    arguments = ["--work", str(tmp_path), *TINY]
    assert train_policy.main(arguments) == 0
    output = tmp_path / "ensemble"
    assert EmbeddedEnsemble.from_pretrained(output).members == 2
    report = json.loads((output / "training_report.json").read_text())
    assert set(report["members"]["member_1"]) == {"clone", "round_1", "last"}
    weights = output / "member_0" / "model.safetensors"
    before = weights.read_bytes()
    done = tmp_path / "member_0" / "last" / "report.json"
    stamp = done.stat().st_mtime_ns
    assert train_policy.main(arguments) == 0
    assert done.stat().st_mtime_ns == stamp
    assert weights.read_bytes() == before
