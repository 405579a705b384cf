# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with a policy's configuration or weights: a BackendError that names it."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from changed_documents import leaves, replaced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policy_documents import NATIVE, TOOL
from safetensors.torch import load_file, save_file

from salus_policies.backends.base import BackendError, LoadOptions
from salus_policies.backends.embedded.backend import DEFAULT_FOLDER, EmbeddedBackend
from salus_policies.backends.embedded.config import EmbeddedConfig
from salus_policies.policy_config import read_config

NUMBERS = st.sampled_from([0, -1, 1, 20000, 2**63, 10**400, 0.5, 1e308, float("nan")])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(), inner, max_size=2),
    max_leaves=5,
)
QUICK = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def refused_or_none(read, *arguments):
    try:
        read(*arguments)
    except BackendError as error:
        return str(error)
    return ""


@QUICK
@given(data=st.data())
@pytest.mark.parametrize("content", [TOOL, NATIVE], ids=["tool", "native"])
def test_any_value_anywhere_in_a_configuration_is_used_or_refused(content, data, tmp_path):
    path = data.draw(st.sampled_from(list(leaves(content))))
    file = tmp_path / "salus_policy.yaml"
    changed = replaced(content, path, data.draw(VALUES))
    file.write_text(yaml.safe_dump(changed, allow_unicode=True), encoding="utf-8")
    said = refused_or_none(read_config, file, "own")
    assert len(said) < 2000


@QUICK
@given(data=st.data())
def test_any_bytes_are_used_or_refused_as_a_configuration(data, tmp_path):
    content = bytearray(yaml.safe_dump(TOOL).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "salus_policy.yaml").write_bytes(content)
    refused_or_none(read_config, tmp_path / "salus_policy.yaml", "own")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 5000, "cannot read"),
        (b"a: 2001-99-99", "cannot read"),
        (b"\xff\xfe\xff", "cannot read"),
        (b"a: &a [x, x]\nb: [*a, *a]", "'schema' is missing"),
        (b"#" * 2**21, "larger than"),
    ],
)
def test_what_yaml_itself_does_not_bear_is_refused(content, message, tmp_path):
    (tmp_path / "salus_policy.yaml").write_bytes(content)
    said = refused_or_none(read_config, tmp_path / "salus_policy.yaml", "own")
    assert message in said
    assert "salus_policy.yaml" in said


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    """One member of the shipped ones, without statistics."""
    folder = tmp_path_factory.mktemp("policy") / "ensemble"
    folder.mkdir()
    shutil.copytree(DEFAULT_FOLDER / "member_0", folder / "member_0")
    listing = json.loads((DEFAULT_FOLDER / "ensemble.json").read_text())
    (folder / "ensemble.json").write_text(json.dumps({**listing, "members": ["member_0"]}))
    return folder


@QUICK
@given(data=st.data())
def test_any_value_in_a_members_configuration_is_used_or_refused(data):
    content = json.loads((DEFAULT_FOLDER / "member_0" / "config.json").read_text())
    path = data.draw(st.sampled_from(list(leaves(content))))
    values = NUMBERS | st.text() | st.lists(NUMBERS | st.text(max_size=3), max_size=16)
    changed = json.loads(json.dumps(replaced(content, path, data.draw(values))))
    try:
        config = EmbeddedConfig.from_dict(changed)
    except ValueError as error:
        said = str(error)
    else:
        said = "config" if np.isfinite(config.proprioception_std).all() else ""
    assert "config" in said


def load(folder):
    return EmbeddedBackend.load(str(folder), LoadOptions("cpu"))


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("latent_size", 20000, "config.latent_size must lie between 1 and 16384"),
        ("image_size", 10**400, "config.image_size must lie between 8 and 1024, is 1000"),
        ("latent_size", 8192, "config.json asks for"),
        ("image_size", "64", "config.image_size must be of type int"),
        ("chunk_length", 10**9, "config.chunk_length must lie between"),
        ("proprioception_std", [0.0] * 16, "config.proprioception_std must hold 16 numbers"),
        ("windows", [[0.5, 0.5, 0.9]], "does not lie within the image"),
        ("mood", 1, "unknown setting 'config.mood'"),
    ],
)
def test_a_members_configuration_out_of_bounds_is_named(ensemble, entry, value, message, tmp_path):
    folder = shutil.copytree(ensemble, tmp_path / "copy")
    path = folder / "member_0" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), entry: value}))
    assert message in refused_or_none(load, folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.fill_(torch.nan), "holds a number that is not finite"),
        (lambda tensor: tensor[:, :1].clone(), "config.json asks for"),
        (lambda tensor: tensor.to(torch.int32), "is torch.int32"),
        (lambda tensor: None, "is missing or not of this kind"),
        (lambda tensor: tensor.fill_(3e38), "a trial step gives a number that is not finite"),
    ],
)
def test_weights_of_another_form_are_refused(ensemble, change, message, tmp_path):
    folder = shutil.copytree(ensemble, tmp_path / "copy")
    path = folder / "member_0" / "model.safetensors"
    tensors = load_file(path)
    name = max(key for key in tensors if key.startswith("mean."))
    tensors[name] = change(tensors[name])
    save_file({k: v for k, v in tensors.items() if v is not None}, path)
    said = refused_or_none(load, folder)
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize("names", [[], ["member_0"] * 65, [1], "member_0", {}, None])
def test_a_list_of_members_that_is_none_is_refused(ensemble, names, tmp_path):
    folder = shutil.copytree(ensemble, tmp_path / "copy")
    path = folder / "ensemble.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "members": names}))
    assert 'a list "members"' in refused_or_none(load, folder)
