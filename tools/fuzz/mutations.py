# SPDX-License-Identifier: Apache-2.0
"""Changes of documents that stay documents: an entry gets another value, goes, or is doubled."""

import json
import random
from collections.abc import Callable

from changed_documents import leaves, replaced

VALUES = [
    *(None, True, False, "", "x", "é\u2028", [], {}, [[]], {"x": 1}, "nan", "../..", "/dev/zero"),
    *(0, -1, 1, 2, 255, 65536, 2**31, 2**32 - 1, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), ["a"] * 70, "y" * 5000, [0] * 3, [1.5, None]),
]


def of_bytes(data: bytes, most: int, rng: random.Random) -> bytes:
    """Bytes changed, put in, taken out or cut off, at most a size in all."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(content) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            content[place : place + 1] = rng.randbytes(1)
        elif kind == 1:
            content[place : place + rng.choice((1, 4, 8))] = b""
        elif kind == 2:
            content[place:place] = rng.randbytes(rng.choice((1, 2, 8)))
        elif kind == 3:
            content[place : place + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x00\x00\x00\x80"))
        elif rng.random() < 0.2:
            del content[place:]
    return bytes(content[:most])


def of_documents(prefix: int) -> Callable[[bytes, int, int], bytes]:
    """A mutator of JSON after some bytes that are kept; arguments: data, largest size, seed.

    Args:
        prefix: number of those bytes. What is no JSON is changed as bytes, and so is one in four.
    """

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        try:
            content = json.loads(data[prefix:])
        except (ValueError, RecursionError):
            return of_bytes(data, most, rng)
        if rng.random() < 0.25:
            return of_bytes(data, most, rng)
        paths = list(leaves(content))
        for _ in range(rng.choice((1, 1, 2, 5))):
            if paths:
                content = replaced(content, rng.choice(paths), rng.choice(VALUES))
                paths = list(leaves(content))
        changed = data[:prefix] + json.dumps(content).encode()
        return changed if len(changed) <= most else data

    return mutate
