# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
from made_up_runs import write_runs

from salus_core.data import SplitError, parts_by_fraction, read_steps
from salus_core.data.testing import make_steps


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = make_steps(40, seed=2)
    # Each seed was recorded twice.
    table = replace(data.episodes, seed=data.episodes.seed // 2 + 1)
    return write_runs(tmp_path_factory.mktemp("twice"), replace(data, episodes=table))[0]


def test_every_episode_is_in_one_part_of_about_its_share(run):
    parts = parts_by_fraction(run)
    read = {name: read_steps(run, part).episodes for name, part in parts.items()}
    assert {name: len(table) for name, table in read.items()} == {
        "train": 24,
        "validation": 6,
        "calibration": 6,
        "test": 4,
    }
    for name, table in read.items():
        assert 0 < table.failed.sum() < len(table), name


def test_episodes_of_one_seed_of_a_run_are_never_apart(run):
    seeds = [set(read_steps(run, part).episodes.seed) for part in parts_by_fraction(run).values()]
    assert sum(len(found) for found in seeds) == 20


def test_the_parts_are_the_same_when_the_run_was_moved(run, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.symlink_to(run)
    assert parts_by_fraction(moved) == parts_by_fraction(run)
    test = parts_by_fraction(run)["test"]
    found = [read_steps(path, test).episodes.seed.tolist() for path in (run, moved)]
    assert found[0] == found[1]


def test_episodes_without_seeds_each_stand_alone(tmp_path):
    data = make_steps(12)
    table = replace(data.episodes, seed=0 * data.episodes.seed)
    run = write_runs(tmp_path, replace(data, episodes=table))[0]
    parts = parts_by_fraction(run)
    assert sorted(len(part.groups) for part in parts.values()) == [1, 2, 2, 7]


def test_the_share_of_a_part_that_is_left_out_goes_to_training(run):
    parts = parts_by_fraction(run, ("train", "validation", "test"))
    assert len(parts["train"].groups) == 15


def test_too_few_episodes_are_refused(tmp_path):
    run = write_runs(tmp_path, make_steps(3))[0]
    with pytest.raises(SplitError, match=r"3 episodes .* cannot make the parts train, validation"):
        parts_by_fraction(run)
    with pytest.raises(SplitError, match="have no part 'holdout': use train"):
        parts_by_fraction(run, ("train", "holdout"))
