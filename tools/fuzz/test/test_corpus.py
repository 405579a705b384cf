# SPDX-License-Identifier: Apache-2.0
"""What fuzzing found stays mended, and changes of whole inputs are read or refused."""

import json
import random
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FUZZ))
from mutations import of_documents  # noqa: E402
from targets import TARGETS, make  # noqa: E402

CHANGES = 25


@pytest.fixture(scope="module", params=TARGETS)
def target(request, tmp_path_factory):
    return request.param, make(request.param, tmp_path_factory.mktemp(request.param))


def flipped(data, rng):
    content = bytearray(data)
    for _ in range(rng.randrange(1, 8)):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content[: rng.choice((len(content), rng.randrange(len(content) + 1)))])


def test_what_was_found_stays_mended(target):
    name, reader = target
    for path in sorted((FUZZ / "corpus" / name).glob("*")):
        reader.one(path.read_bytes())


def test_changed_inputs_are_read_or_refused_in_words(target):
    _, reader = target
    rng = random.Random(7)
    document = of_documents(reader.prefix, lambda data, most: flipped(data, rng))
    for count in range(CHANGES):
        data = rng.choice(reader.seeds)
        change = document if reader.document and count % 2 else None
        reader.one(change(data, 2 * len(data) + 8, count) if change else flipped(data, rng))


def test_a_mutated_document_is_a_document():
    mutate = of_documents(2, lambda data, most: data)
    changed = {
        mutate(b"ab" + json.dumps({"x": [1, {"y": 2}]}).encode(), 9000, n) for n in range(30)
    }
    assert len(changed) > 5
    for data in changed:
        assert data[:2] == b"ab"
        json.loads(data[2:])
