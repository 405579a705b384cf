# SPDX-License-Identifier: Apache-2.0
"""Baselines: what is known without learning to forecast; every table has them."""

from salus_core.baselines.base import Baseline, BaselineError
from salus_core.baselines.registry import BASELINES, make_baselines

__all__ = ["BASELINES", "Baseline", "BaselineError", "make_baselines"]
