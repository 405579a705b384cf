# SPDX-License-Identifier: Apache-2.0
"""Writes docs/parameters.md from the nodes' own declarations: `python tools/docs/parameters.py`."""

import importlib
from pathlib import Path

from salus_ros.managed_node import ManagedParameters
from salus_ros.parameters import Spec, names, specs

OUTPUT = Path(__file__).resolve().parents[2] / "docs/parameters.md"

NODES = {
    "world": ("salus_sim.nodes.world_node", "WorldParameters"),
    "referee": ("salus_sim.nodes.referee_node", "RefereeParameters"),
    "episode_runner": ("salus_sim.nodes.episode_runner", "RunnerParameters"),
    "vla": ("salus_vla_node.parameters", "VlaParameters"),
    "predictor": ("salus_predictor_node.predictor_node", "PredictorParameters"),
    "supervisor": ("salus_supervisor.supervisor_node", "SupervisorParameters"),
    "recorder": ("salus_recorder.parameters", "RecorderParameters"),
    "controller": ("salus_supervisor.controller_node", "ControllerParameters"),
    "episode_label": ("salus_recorder.episode_label_node", "EpisodeLabelParameters"),
}

HEAD = """# Parameters

Written by `tools/docs/parameters.py` from the nodes' declarations; `ros2 param describe NODE NAME`
says the same of a running node. An unknown name, a wrong type or a value out of bounds keeps a node
from starting and is named. `fixed`: a change needs a restart.
"""


def of_node(node: str) -> dict[str, Spec]:
    """Parameters of a node by their ROS names, in the order of declaration."""
    module, name = NODES[node]
    declared = specs(getattr(importlib.import_module(module), name))
    return {spec.name: spec for spec in declared.values()}


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).replace("'", "")


def _table(parameters: list[Spec]) -> str:
    rows = ["| parameter | default | allowed | | what |", "|---|---|---|---|---|"]
    for spec in parameters:
        default = f"`{_value(spec.default)}`" if spec.default not in ("", [""]) else "empty"
        fixed = "fixed" if spec.read_only else ""
        what = spec.description.replace("|", "\\|")
        rows.append(f"| `{spec.name}` | {default} | {spec.allowed} | {fixed} | {what} |")
    return "\n".join(rows) + "\n"


def document() -> str:
    """The whole page."""
    shared = names(ManagedParameters)
    parts = [HEAD]
    for node in NODES:
        own = [spec for name, spec in of_node(node).items() if name not in shared]
        parts.append(f"## {node}\n\n{_table(own) if own else 'None of its own.'}")
    common = list(specs(ManagedParameters).values())
    parts.append(
        "## Shared\n\nOf vla, predictor, supervisor and recorder; of world and referee those of "
        f"diagnostics.\n\n{_table(common)}"
    )
    return "\n".join(parts)


if __name__ == "__main__":
    OUTPUT.write_text(document())
    print(OUTPUT)
