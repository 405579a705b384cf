# SPDX-License-Identifier: Apache-2.0
"""Tables of interventions: what they hold, and what is said of wrong ones."""

import pytest

from salus_core.prevention.table import FOLDER, Bounds, Table, TableError
from salus_core.prevention.triggers import Rule


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_a_shipped_table_is_read_and_written_again(name):
    table = Table.load(name)
    assert table.manoeuvres
    assert Table.from_dict(table.to_dict()) == table


def test_an_entry_says_when_and_what():
    table = Table.from_dict(
        {
            "rules": {"drop": {"when": {"outcome_above": 0.5}, "manoeuvres": ["carry"]}},
            "after": {"carry": ["place"]},
            "bounds": {"tries": 2},
        }
    )
    assert table.triggers == {"drop": Rule(outcome_above=0.5)}
    assert table.manoeuvres == ("carry", "place")
    assert table.bounds == Bounds(tries=2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"rule": {}}, "unknown entry 'rule'"),
        ({"rules": None}, None),
        ({"rules": []}, "'rules' must be a mapping"),
        ({"rules": 0}, "'rules' must be a mapping"),
        ({"rules": [1]}, "'rules' must be a mapping"),
        ({"rules": {"drop": {"when": {"above": 1}}}}, "rules.drop.when.above"),
        ({"rules": {"drop": {"manoeuvres": {"carry": 1}}}}, "rules.drop.manoeuvres"),
        ({"bounds": {"tries": -1}}, "tries"),
        ({"bounds": {"budget": float("inf")}}, "budget"),
    ],
)
def test_a_wrong_entry_is_named(content, said):
    if said is None:
        assert Table.from_dict(content) == Table()
        return
    with pytest.raises(TableError, match=said):
        Table.from_dict(content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TableError, match=r"none\.yaml"):
        Table.load(tmp_path / "none.yaml")
