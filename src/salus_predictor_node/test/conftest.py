# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

from made_up_predictors import checkpoint, data  # noqa: F401 - fixtures

sys.path.insert(0, str(Path(__file__).parent))  # rig.py
