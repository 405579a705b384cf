"""Isaac Sim as a world: the graph as data, its static check, and the bridge itself."""
