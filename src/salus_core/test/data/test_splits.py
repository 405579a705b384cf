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
    assert [one.holds(9, task) for task in ("push", "stack", "")] == [True, False, True]
    assert [other.holds(9, task) for task in ("push", "stack")] == [False, True]
    assert not one.holds(10, "push")
