# SPDX-License-Identifier: Apache-2.0
"""Whether other machines can take part in the graph, by the variables that ROS reads."""

import os
from collections.abc import Mapping


def reachable_by(environment: Mapping[str, str] = os.environ) -> str:
    """Why other machines can take part in this graph, in words; empty: they cannot."""
    if (
        environment.get("ROS_SECURITY_ENABLE") == "true"
        and environment.get("ROS_SECURITY_STRATEGY") == "Enforce"
    ):
        return ""  # whoever has no key is refused
    if environment.get("ROS_LOCALHOST_ONLY") == "1":  # of older distributions; it comes first
        return ""
    wide = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() or "SUBNET"
    if wide == "OFF":
        return ""
    if wide != "LOCALHOST":
        return f"ROS_AUTOMATIC_DISCOVERY_RANGE is {wide}"
    peers = environment.get("ROS_STATIC_PEERS", "").strip("; ")
    return f"ROS_STATIC_PEERS is {peers!r}" if peers else ""
