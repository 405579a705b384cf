# SPDX-License-Identifier: Apache-2.0
"""`check_isaac_graph`: checks the bridge's graph and scripts against Isaac Sim, without Isaac Sim.

A clean result says that node types, attributes, connections, topics, quality of service, imports
and members exist. It cannot show that prims exist, which variants an asset has, attributes made at
run time, physics or rates.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, fields
from pathlib import Path

import yaml

from salus_isaac.check_contract import check_contract, check_interface
from salus_isaac.check_graph import check_graph
from salus_isaac.check_scripts import check_script, package_scripts
from salus_isaac.graph import Graph, build_graph
from salus_isaac.interface import InterfaceError, load_interface
from salus_isaac.node_table import NodeTable
from salus_sim.scene import SceneError, load_scene


def graph_from(text: str, name: str) -> Graph:
    """A graph from YAML or JSON, as `--write` gives it.

    Raises:
        ValueError: it is not one; the message names the field.
    """
    try:
        data = yaml.safe_load(text)
        if not isinstance(data, dict):
            raise ValueError("expected the fields of one")
        unknown = set(data) - {field.name for field in fields(Graph)}
        if unknown:
            raise ValueError(f"unknown field '{sorted(unknown)[0]}'")
        pairs = {
            key: [(first, second) for first, second in data.get(key, [])]
            for key in ("nodes", "values", "connections")
        }
        return Graph(data["path"], data.get("evaluator", "execution"), **pairs)
    except (yaml.YAMLError, TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{name} is not a graph: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="check_isaac_graph", description=__doc__)
    parser.add_argument("--graph", type=Path, help="Check this graph (YAML or JSON) instead.")
    parser.add_argument("--interface", type=Path, help="Interface file; default: the package's.")
    parser.add_argument("--scene", type=Path, help="Scene file; default: the package's.")
    parser.add_argument(
        "--script", type=Path, action="append", help="Check this Python file instead; repeatable."
    )
    parser.add_argument("--namespace", default="/salus", help="Namespace of the world.")
    parser.add_argument("--write", type=Path, help="Write the graph as YAML to this file.")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Print findings, a line each; 1 if there are any, 2 if something cannot be read."""
    options = _parser().parse_args(arguments)
    table = NodeTable.load()
    try:
        interface, scene = load_interface(options.interface), load_scene(options.scene)
        graph = build_graph(interface, options.namespace)
        if options.graph:
            graph = graph_from(options.graph.read_text(), str(options.graph))
        scripts = options.script or package_scripts()
        problems = [
            *check_graph(graph, table),
            *check_contract(graph, interface, table, options.namespace),
            *check_interface(interface, scene),
            *(problem for path in scripts for problem in check_script(path, table)),
        ]
        if options.write:
            data = asdict(graph)
            for key in ("nodes", "values", "connections"):
                data[key] = [list(pair) for pair in data[key]]
            options.write.write_text(yaml.safe_dump(data, sort_keys=False))
    except (OSError, ValueError, InterfaceError, SceneError) as error:
        print(f"check_isaac_graph: {error}", file=sys.stderr)
        return 2
    for problem in problems:
        print(problem)
    print(
        f"{len(problems)} problems in {len(graph.nodes)} nodes, {len(graph.connections)} "
        f"connections and {len(scripts)} scripts, against Isaac Sim {table.version}"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
