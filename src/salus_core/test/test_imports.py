# SPDX-License-Identifier: Apache-2.0
"""What needs no torch imports none: a robot's computer may only record."""

import subprocess
import sys

WITHOUT_TORCH = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is not installed")

sys.meta_path.insert(0, NotInstalled())
import salus_core.calibration
import salus_core.data
import salus_core.episode_store
import salus_core.episode_store.records
import salus_core.evaluation
import salus_core.evaluation.members
import salus_core.failures
import salus_core.inspection
import salus_core.metrics
import salus_core.runtime
import salus_core.signals
"""


def test_recording_reading_and_figures_need_no_torch():
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
