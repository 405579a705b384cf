import pytest

from salus_core.data import SplitError, load_splits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("splits: {a: {seeds: [0, 9]}, b: {seeds: [5, 12]}}", "'a' and 'b' share seeds 5 to 9"),
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
