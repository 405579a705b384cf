# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with a checkpoint: a CheckpointError in one line, in bounded memory."""

import hashlib
import json
import os
import resource
import shutil
import warnings

import numpy as np
import pytest
import torch
from changed_documents import leaves, replaced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from salus_core.predictors.checkpoint import (
    MANIFEST,
    WEIGHTS,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)

NETWORKS = {
    "tcn": ("temporal", {"projection": 4, "width": 8}),
    "gru": ("temporal", {"core": "gru", "width": 8, "outcome_head": True, "projection_width": 3}),
    "mlp": ("mlp", {"hidden": [8, 8]}),
    "safe_lstm": ("safe_lstm", {"hidden": 8}),
}


@pytest.fixture(scope="module")
def folders(train, temporal, steps, tmp_path_factory):
    """Small checkpoints of several kinds, calibrated where they can be."""
    small, found = [part.select(np.arange(16)) for part in steps[:2]], {}
    for name, (kind, network) in NETWORKS.items():
        predictor, _ = train(kind, 1, small, network=network)
        if predictor.gives_forecasts:
            predictor.calibration, predictor.band = temporal.calibration, temporal.band
            predictor.drift = temporal.drift
        found[name] = save_checkpoint(predictor, tmp_path_factory.mktemp(name))
    return found


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch")


def written(folder, scratch, change=None, weights=None):
    """A changed copy; the manifest's hash fits the weights."""
    content = (folder / WEIGHTS).read_bytes() if weights is None else weights
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["weights_sha256"] = hashlib.sha256(content).hexdigest()
    if change is not None:
        manifest = change(manifest)
    (scratch / WEIGHTS).write_bytes(content)
    (scratch / MANIFEST).write_text(json.dumps(manifest))
    return scratch


def outcome(folder):
    """The error's text; empty: it loads, and its forecasts are finite."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predictor, _ = load_checkpoint(folder)
    except CheckpointError as error:
        said = str(error)
    else:
        stream = predictor.stream()
        stream.skip()
        assert np.isfinite(stream.score)
        said = ""
    finally:
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert "\n" not in said
    assert len(said) < 1000
    return said


NUMBERS = st.sampled_from([0, -1, 1, 2, 20000, 2**31, 2**63, 10**400, 0.5, 1e300, -1e-300])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
@pytest.mark.parametrize("name", NETWORKS)
def test_any_value_anywhere_in_a_manifest_is_used_or_refused(name, folders, scratch, data):
    paths = list(leaves(json.loads((folders[name] / MANIFEST).read_text())))
    # Most entries are numbers of the drift reference: each depth gets its share.
    depth = data.draw(st.sampled_from(sorted({len(path) for path in paths})))
    path = data.draw(st.sampled_from([path for path in paths if len(path) == depth]))
    value = data.draw(VALUES)
    outcome(written(folders[name], scratch, lambda manifest: replaced(manifest, path, value)))


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_and_missing_bytes_of_weights_are_used_or_refused(folders, scratch, data):
    folder = folders[data.draw(st.sampled_from(list(NETWORKS)))]
    content = bytearray((folder / WEIGHTS).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        # The header is the more delicate part.
        last = data.draw(st.sampled_from([8, 1000, len(content)])) - 1
        content[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))]
    outcome(written(folder, scratch, weights=bytes(content)))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_flipped_bytes_of_a_manifest_are_used_or_refused(folders, scratch, data):
    folder = written(folders["gru"], scratch)
    content = bytearray((folder / MANIFEST).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / MANIFEST).write_bytes(content)
    outcome(folder)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("band", "mean", 0), float("nan"), "band: 'mean' must hold finite numbers"),
        (("band", "modulation", 1), 0.0, "band: 'modulation' must hold finite numbers"),
        (("band", "alpha"), 2, "band: 'alpha'"),
        (("band", "shape"), "round", "'shape' is 'round': use one of functional, constant"),
        (("calibration", "scale", 0, 0), float("inf"), "calibration: 'scale'"),
        (("calibration", "scale"), [[1.0]], "calibration: 'scale' must hold 4 x 4 numbers"),
        (("drift", "low"), [0.0], "drift: 'low' must hold 12 numbers"),
        (("network", "width"), 20000, "torch.float32"),
        (("network", "width"), 10**9, "network.width must lie between 1 and 65536"),
        (("network", "dilations"), [1] * 1000, "network.dilations: 1000 layers, at most 32"),
        (("network", "dilations"), [10**4], "reach back 20000 steps"),
        (("network", "core"), "xyz", "core must be 'tcn' or 'gru'"),
        (("network", "dropout"), float("nan"), "network.dropout"),
        (("predictor",), "oracle", "'predictor' is 'oracle': use one of mvp, mlp"),
        (("source", "control_period"), 1e-9, "source.control_period"),
        (("source", "horizons"), [1e6], "steps ahead, at most 2000"),
        (("source", "action_kinds"), ["warp"] * 7, "action kind 'warp' does not exist"),
        (("layout", "signals"), ["mood"], "layout.signals must be some of action_volatility"),
        (("layout", "embedding_size"), 10**9, "layout.embedding_size"),
        (("training",), 5, "'training' must be a mapping"),
        (("format",), [2], "has format [2], this program reads 1 and 2"),
    ],
)
def test_an_entry_out_of_bounds_is_named(folders, scratch, path, value, message):
    folder = written(folders["tcn"], scratch, lambda manifest: replaced(manifest, path, value))
    assert message in outcome(folder)
    assert MANIFEST in outcome(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.fill_(torch.nan), "holds a number that is not finite"),
        (lambda tensor: tensor.double(), "is torch.float64"),
        (lambda tensor: tensor[:1].clone(), "asks for torch.float32"),
        (lambda tensor: None, "is missing"),
        (
            lambda tensor: tensor.copy_(torch.eye(*tensor.shape) * 3e38),
            "a trial step gives a number that is not finite",
        ),
    ],
)
def test_weights_of_another_form_are_refused(folders, scratch, change, message, tmp_path):
    tensors = load_file(folders["gru"] / WEIGHTS)
    tensors["network.last.weight"] = change(tensors["network.last.weight"])
    save_file({k: v for k, v in tensors.items() if v is not None}, tmp_path / WEIGHTS)
    folder = written(folders["gru"], scratch, weights=(tmp_path / WEIGHTS).read_bytes())
    assert message in outcome(folder)


def test_what_is_no_file_of_bounded_size_and_depth_is_refused(folders, tmp_path):
    for name, make, message in (
        ("pipe", os.mkfifo, "is no regular file"),
        ("folder", os.mkdir, "is no regular file"),
        ("zero", lambda path: path.symlink_to("/dev/zero"), "is no regular file"),
        ("deep", lambda path: path.write_text("[" * 10**5), "is not valid JSON"),
        ("deepish", lambda path: path.write_text("[" * 99 + "]" * 99), "more than 16 deep"),
        ("huge", lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 2**40), "larger"),
    ):
        for file in (MANIFEST, WEIGHTS):
            if file == WEIGHTS and name.startswith("deep"):
                continue
            folder = tmp_path / f"{name}_{file}"
            shutil.copytree(folders["mlp"], folder)
            (folder / file).unlink()
            make(folder / file)
            assert message in outcome(folder)


def test_another_band_is_another_identity(folders, scratch):
    first, _ = load_checkpoint(written(folders["tcn"], scratch))
    change = lambda manifest: replaced(manifest, ("band", "mean", 0), 0.25)  # noqa: E731
    second, _ = load_checkpoint(written(folders["tcn"], scratch, change))
    assert first.weights_hash == second.weights_hash
    assert first.hash != second.hash
