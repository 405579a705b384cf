# SPDX-License-Identifier: Apache-2.0
"""Actions that launch files import."""

from ._actions import (
    LifecycleNode,
    Node,
    PushROSNamespace,
    PushRosNamespace,
    SetParameter,
    SetRemap,
)

__all__ = [
    "LifecycleNode",
    "Node",
    "PushROSNamespace",
    "PushRosNamespace",
    "SetParameter",
    "SetRemap",
]
