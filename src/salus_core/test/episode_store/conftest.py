# SPDX-License-Identifier: Apache-2.0
import pytest

from salus_core.episode_store import RunSchema
from salus_core.episode_store.testing import make_schema


@pytest.fixture(scope="session")
def schema() -> RunSchema:
    return make_schema()
