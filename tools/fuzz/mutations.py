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


def of_documents(prefix: int, otherwise: Callable[[bytes, int], bytes]) -> Callable:
    """A mutator of JSON after some bytes that are kept.

    Args:
        prefix: number of those bytes.
        otherwise: mutates bytes to at most a size: of what is no JSON, and of one input in four.
    """

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        try:
            content = json.loads(data[prefix:])
        except (ValueError, RecursionError):
            return otherwise(data, most)
        if rng.random() < 0.25:
            return otherwise(data, most)
        paths = list(leaves(content))
        for _ in range(rng.choice((1, 1, 2, 5))):
            if paths:
                content = replaced(content, rng.choice(paths), rng.choice(VALUES))
                paths = list(leaves(content))
        changed = data[:prefix] + json.dumps(content).encode()
        return changed if len(changed) <= most else data

    return mutate
