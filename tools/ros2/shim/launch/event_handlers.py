# SPDX-License-Identifier: Apache-2.0
"""Event handlers that launch files import."""

from ._event_handlers import (
    OnProcessExit,
    OnProcessStart,
    OnShutdown,
)

__all__ = [
    "OnProcessExit",
    "OnProcessStart",
    "OnShutdown",
]
