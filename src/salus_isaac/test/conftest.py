import sys
from pathlib import Path

import pytest

from salus_isaac.graph import build_graph
from salus_isaac.interface import load_interface
from salus_isaac.node_table import NodeTable

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def interface():
    return load_interface()


@pytest.fixture(scope="session")
def table():
    return NodeTable.load()


@pytest.fixture
def graph(interface):
    return build_graph(interface)
