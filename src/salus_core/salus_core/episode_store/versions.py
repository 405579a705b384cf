# SPDX-License-Identifier: Apache-2.0
"""Runs of older versions, as the present version would have described them."""

from typing import Any

from salus_core.actions import TOOL_MOTION
from salus_core.episode_store.schema import SCHEMA_VERSION
from salus_core.failures import RENAMED

READABLE = (2, SCHEMA_VERSION)
"""Schema versions that are read."""


def current_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a run of any readable version as the present version has them.

    Version 2 knew but actions of seven numbers, the motion of a tool, and the built-in types.
    """
    if attributes["salus_schema_version"] == SCHEMA_VERSION:
        return attributes
    names = [RENAMED.get(name, name) for name in attributes["failure_names"]]
    return {
        **attributes,
        "action_kinds": [str(kind) for kind in TOOL_MOTION.kinds],
        "policy_action_names": [],
        "policy_action_units": [],
        "policy_action_kinds": [],
        "failure_names": names,
        "failure_descriptions": [""] * len(names),
    }
