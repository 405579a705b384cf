# SPDX-License-Identifier: Apache-2.0
"""Isaac Sim as a world: the graph as data, its static check, and the bridge itself."""
