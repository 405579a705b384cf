# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import pytest

from salus_core.data import SplitError, load_splits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("splits: {a: {seeds: [0, 9]}, b: {seeds: [5, 12]}}", "'a' and 'b' share seeds 5 to 9"),
        (
            "splits: {a: {seeds: [0, 9], tasks: [push, a]}, b: {seeds: [5, 12], tasks: [push]}}",
            "share seeds 5 to 9",
        ),
        ("splits: {a: {seeds: [0, 9], tasks: [push]}, b: {seeds: [5, 12]}}", "share seeds 5 to 9"),
        ("splits: {a: {seeds: [0, 99]}, b: {seeds: [5, 9]}, c: {seeds: [20, 30]}}", "'a' and 'b'"),
        ("splits: {a: {seeds: [0, 9], tasks: push}}", "'tasks' of split 'a' must be a list"),
        ("splits: {a: {seeds: [0]}}", "'seeds' of split 'a' must be"),
        ("splits: {a: {first_seed: 3}}", "split 'a' needs"),
        ("splits: {a: {seeds: [9, 3]}}", "before its first"),
        ("other: 1", "lacks the section 'splits'"),
    ],
)
def test_a_bad_table_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "splits.yaml"
    path.write_text(text)
    with pytest.raises(SplitError, match=message):
        load_splits(path)


def test_both_ways_to_give_seeds_mean_the_same(tmp_path):
    path = tmp_path / "splits.yaml"
    path.write_text(
        "seeds_per_split: 100\n"
        "splits: {a: {first_seed: 100}, b: {seeds: [200, 299], runs: [x/*]}}\n"
    )
    splits = load_splits(path)
    assert (splits["a"].first, splits["a"].last) == (100, 199)
    assert splits["b"].runs == ("x/*",)
    assert (splits["a"].first, splits["a"].last) == (100, 199)


def test_splits_of_different_tasks_may_share_seeds(tmp_path):
    path = tmp_path / "splits.yaml"
    path.write_text(
        "splits: {a: {seeds: [0, 9], tasks: [put_on, push]}, b: {seeds: [0, 9], tasks: [stack]}}\n"
    )
    one, other = load_splits(path).values()

    def holds(split, seed, task):
        return split.holds(SimpleNamespace(seed=seed, task=task))

    assert [holds(one, 9, task) for task in ("push", "stack", "")] == [True, False, True]
    assert [holds(other, 9, task) for task in ("push", "stack")] == [False, True]
    assert not holds(one, 10, "push")


def test_the_standard_table_is_found_where_ros_looks(tmp_path, monkeypatch):
    folder = tmp_path / "share" / "salus" / "config"
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text("splits: {a: {seeds: [0, 9]}}")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    assert list(load_splits("standard")) == ["a"]
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    with pytest.raises(SplitError, match=r"source its setup.bash, or name the file"):
        load_splits("standard")
