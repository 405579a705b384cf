# SPDX-License-Identifier: Apache-2.0

import pytest
from supervisor_rig import Rig


@pytest.fixture
def rig_of(ros):
    """Makes rigs, and ends them."""
    rigs = []

    def make(kind=Rig, **kwargs):
        rigs.append(kind(**kwargs))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.executor.shutdown()
        rig.supervisor.close()
        rig.supervisor.destroy_node()
        rig.node.destroy_node()
