# SPDX-License-Identifier: Apache-2.0
"""Another spelling of salus_core.messages.nanoseconds, until its last user has moved."""

from salus_core.messages import nanoseconds

__all__ = ["nanoseconds"]
