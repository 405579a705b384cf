# SPDX-License-Identifier: Apache-2.0
"""Another spelling of salus_core.messages.checks, until its last user has moved."""

from salus_core.messages.checks import (
    InvalidInputError,
    require_finite,
    require_joint_state,
    require_pose,
)

__all__ = ["InvalidInputError", "require_finite", "require_joint_state", "require_pose"]
