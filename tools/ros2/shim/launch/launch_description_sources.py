# SPDX-License-Identifier: Apache-2.0
"""Sources of includes that launch files import."""

from ._launch_description_sources import (
    AnyLaunchDescriptionSource,
    PythonLaunchDescriptionSource,
)

__all__ = [
    "AnyLaunchDescriptionSource",
    "PythonLaunchDescriptionSource",
]
