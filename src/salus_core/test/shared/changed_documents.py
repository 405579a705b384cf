# SPDX-License-Identifier: Apache-2.0
"""Documents of JSON or YAML with one entry changed."""

import copy


def leaves(content, path=()):
    """Paths of all entries, those of mappings and lists included."""
    if path:
        yield path
    if isinstance(content, dict | list):
        for key in content if isinstance(content, dict) else range(len(content)):
            yield from leaves(content[key], (*path, key))


def replaced(content, path, value):
    """A copy with another value at a path."""
    result = copy.deepcopy(content)
    at = result
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return result
