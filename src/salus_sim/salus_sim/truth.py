# SPDX-License-Identifier: Apache-2.0
"""Ground truth of one step, as the referee reads it from any world."""

from salus_core.runtime import GroundTruth

__all__ = ["GroundTruth"]
