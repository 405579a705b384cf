# SPDX-License-Identifier: Apache-2.0
"""Registry and contract of backends."""

import numpy as np
import pytest
from tiny_backend import NAME, TinyBackend, make_checkpoint

from salus_core.actions import TOOL_MOTION, ActionSpec
from salus_core.signals import LatentStatistics
from salus_policies.backends import registry
from salus_policies.backends.base import (
    BackendError,
    LoadOptions,
    PolicyInfo,
    PolicyOutput,
    PolicyOutputError,
    hash_files,
)
from salus_policies.backends.registry import backend_class


def info(**changes):
    fields = {
        "backend": "tiny",
        "policy": "p",
        "weights_hash": "0",
        "cameras": {"front": (32, 32)},
        "action": ActionSpec.of("abcdefg", ("m",) * 7, ("joint_position",) * 7, (1.0,) * 7),
        "control_period": 0.1,
        "members": 2,
        "member_kind": "checkpoints",
    }
    return PolicyInfo(**{**fields, **changes})


def test_a_backend_of_ones_own_is_found_by_its_import_path():
    assert backend_class(NAME) is TinyBackend


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("pi9", "unknown backend 'pi9'; known: embedded"),
        ("tinyvla", r"no backend 'tinyvla'.*backends/tinyvla/README\.md"),
        ("pi05", r"no backend 'pi05'.*backends/pi0/README\.md"),
        ("no_such_module:Policy", "install the Python package 'no_such_module'"),
        ("json:JSONDecoder", "is not a PolicyBackend"),
        ("tiny_backend:Nothing", "is not a PolicyBackend"),
    ],
)
def test_backends_that_cannot_be_used_say_why(name, match):
    with pytest.raises(BackendError, match=match):
        backend_class(name)


def test_backends_are_imported_only_when_used(monkeypatch):
    monkeypatch.setitem(registry.BACKENDS, "remote", "package_that_is_not_here:Remote")
    assert backend_class(NAME) is TinyBackend


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"action": TOOL_MOTION}, "no scale"),
        ({"member_kind": "dropout"}, "member_kind 'dropout'"),
        ({"embedding_size": 16385}, "16385 > 16384"),
        ({"chunk_length": 5000}, "2 x 5000 x 7 > 65536"),
        (
            {"embedding_size": 4, "latent_statistics": LatentStatistics(np.zeros(3), np.eye(3), 9)},
            "for 3 elements, its latent has 4",
        ),
    ],
)
def test_a_policy_that_does_not_fit_the_messages_is_refused(changes, match):
    with pytest.raises(BackendError, match=match):
        info(**changes)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"action": np.zeros(6)}, r"action of shape \(6,\), expected \(7,\)"),
        ({"action": np.full(7, np.nan)}, "action with NaN"),
        ({"member_means": np.zeros((3, 7))}, r"expected \(2, 7\)"),
        ({"latent": None}, "gave no latent"),
        ({"chunks": np.full((2, 5, 7), np.inf)}, "chunks with NaN or infinity"),
    ],
)
def test_outputs_that_break_the_promise_are_refused(changes, match):
    fields = {"action": np.zeros(7), "latent": np.zeros(4), "chunks": np.zeros((2, 5, 7))}
    promise = info(embedding_size=4, chunk_length=5)
    promise.check(PolicyOutput(**fields))
    with pytest.raises(PolicyOutputError, match=match):
        promise.check(PolicyOutput(**{**fields, **changes}))


def test_the_hash_follows_contents_and_names_not_the_folder(tmp_path):
    first = make_checkpoint(tmp_path / "a", seed=1)
    same = make_checkpoint(tmp_path / "b", seed=1)
    other = make_checkpoint(tmp_path / "c", seed=2)
    digests = [hash_files(f, f.glob("*.safetensors")) for f in (first, same, other)]
    assert digests[0] == digests[1] != digests[2]
    (same / "member_0.safetensors").rename(same / "member_9.safetensors")
    assert hash_files(same, same.glob("*.safetensors")) != digests[0]


def test_missing_weights_name_the_file(tmp_path):
    with pytest.raises(BackendError, match=r"member_0\.safetensors"):
        TinyBackend.load(str(tmp_path), LoadOptions())
