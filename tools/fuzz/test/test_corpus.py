# SPDX-License-Identifier: Apache-2.0
"""What fuzzing found stays mended, and changes of whole inputs are read or refused."""

import json
import random
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FUZZ))
from mutations import of_bytes, of_documents  # noqa: E402
from targets import TARGETS, make  # noqa: E402

CHANGES = 25


@pytest.fixture(scope="module", params=TARGETS)
def target(request, tmp_path_factory):
    return request.param, make(request.param, tmp_path_factory.mktemp(request.param))


def test_what_was_found_stays_mended(target):
    name, reader = target
    for path in sorted((FUZZ / "corpus" / name).glob("*")):
        reader.one(path.read_bytes())


def test_changed_inputs_are_read_or_refused_in_words(target):
    _, reader = target
    rng = random.Random(7)
    document = of_documents(reader.prefix)
    for count in range(CHANGES):
        data = rng.choice(reader.seeds)
        most = 2 * len(data) + 8
        if reader.document and count % 2:
            reader.one(document(data, most, count))
        else:
            reader.one(of_bytes(data, most, rng))


def test_a_mutated_document_is_a_document_or_changed_bytes():
    mutate = of_documents(2)
    document = b"ab" + json.dumps({"x": [1, {"y": 2}]}).encode()
    changed = [mutate(document, 9000, seed) for seed in range(60)]
    kept = [one for one in changed if one[:2] == b"ab" and is_json(one[2:])]
    assert 30 < len(kept) < 60
    assert len(set(changed)) > 20


def is_json(data):
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
