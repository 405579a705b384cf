# SPDX-License-Identifier: Apache-2.0
"""Settings by their old names: read with a warning, never silently."""

import hashlib
import json
from pathlib import Path

import pytest
from made_up_predictors import checkpoint, data  # noqa: F401 - fixtures

from salus_core.predictors.checkpoint import load_checkpoint
from salus_core.predictors.settings import (
    RENAMED,
    RenamedSetting,
    SettingsError,
    current_names,
    override,
)
from salus_core.predictors.training.configuration import RunSettings

SHIPPED = Path(__file__).parents[3] / "salus_predictor_node/salus_predictor_node/weights/default"


@pytest.mark.parametrize(
    ("section", "old", "new"),
    [(section, *names) for section, table in RENAMED.items() for names in table.items()],
)
def test_every_old_name_is_read_with_a_warning_that_gives_the_new_one(section, old, new):
    value = True if old in ("outlook", "scene_probe") else 1 if old in ("batch", "free") else 0.5
    said = f"'{section}.{old}' is now called '{section}.{new}'"
    with pytest.warns(RenamedSetting, match=said):
        given = override({"predictor": "temporal"}, [f"{section}.{old}={json.dumps(value)}"])
    assert given[section] == {new: value}
    with pytest.warns(RenamedSetting, match=said):
        settings = RunSettings.from_mapping({"predictor": "temporal", section: {old: value}})
    found = getattr(settings, section)
    assert (found[new] if section == "network" else getattr(found, new)) == value


@pytest.mark.filterwarnings("error")
def test_new_names_are_read_without_a_warning():
    for section, table in RENAMED.items():
        content = {section: dict.fromkeys(table.values(), 1)}
        assert current_names(content) == content


def test_an_assignment_wins_over_an_old_name_in_a_file():
    with pytest.warns(RenamedSetting):
        given = override({"training": {"rate": 1.0}}, ["training.learning_rate=2.0"])
    assert given == {"training": {"learning_rate": 2.0}}


def test_an_old_and_a_new_name_together_are_refused():
    with pytest.raises(SettingsError, match=r"'training.rate' is the old name of 'training.learn"):
        current_names({"training": {"rate": 1.0, "learning_rate": 2.0}})


def test_a_checkpoint_with_old_names_is_read_with_a_warning(checkpoint):  # noqa: F811
    folder = checkpoint("temporal", network={"core": "gru", "outcome_head": True})
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["network"]["outlook"] = manifest["network"].pop("outcome_head")
    manifest["training"] = {"settings": {"training": {"rate": 0.1}}}
    path.write_text(json.dumps(manifest))
    with pytest.warns(RenamedSetting, match=r"'network.outlook' is now called"):
        predictor, found = load_checkpoint(folder)
    assert predictor.has_outcome_head
    assert found["training"]["settings"]["training"] == {"learning_rate": 0.1}


def test_the_shipped_checkpoint_is_read_as_it_is():
    before = (SHIPPED / "manifest.json").read_bytes()
    with pytest.warns(RenamedSetting):
        predictor, manifest = load_checkpoint(SHIPPED)
    assert predictor.has_outcome_head
    assert predictor.hash == hashlib.sha256(before).hexdigest()
    assert predictor.weights_hash == manifest["weights_sha256"]
    assert manifest["training"]["settings"]["training"]["linear_probe"]
    assert (SHIPPED / "manifest.json").read_bytes() == before
