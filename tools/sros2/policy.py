# SPDX-License-Identifier: Apache-2.0
"""Writes config/sros2_policy.xml: what each node may say and hear, for SROS 2.

    python tools/sros2/policy.py [--namespace salus] [--remap TOPIC=/other ...] [--output FILE]

The topics are those of docs/architecture.md. Beside a robot, give the names of its topics as in the
launch: --remap joint_states=/cell/arm/state. See docs/security.md for what to do with the file.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))
from topics import topics

OUTPUT = Path(__file__).resolve().parents[2] / "src/salus/config/sros2_policy.xml"
MANAGED = ("vla", "predictor", "supervisor", "recorder")
SERVICES = {
    "reset_episode": ("world", {"episode_runner"}),
    "~/load_checkpoint": ("vla predictor", set()),
    "~/pause": ("recorder", set()),
    "~/resume": ("recorder supervisor", set()),
    "~/take_over": ("supervisor", set()),
    "~/abort": ("supervisor", set()),
    "~/is_paused": ("recorder", set()),
    **{f"{node}/get_state": ("", {"episode_runner"}) for node in MANAGED},
}
"""Service: nodes that offer it besides those of MANAGED, nodes that call it."""
OF_ALL = (
    *("describe_parameters", "get_parameter_types", "get_parameters", "list_parameters"),
    *("set_parameters", "set_parameters_atomically", "get_type_description"),
)
OF_MANAGED = (
    *("change_state", "get_available_states", "get_available_transitions", "get_state"),
    "get_transition_graph",
)
WITH_TABLE = {"supervisor": ("forecast_info", "joint_states", "scene_estimate", "tool_pose")}
"""What a node hears besides, where its parameter `interventions` names a table."""
UNMANAGED = {"episode_runner", "world", "referee"}


def policy(namespace: str = "salus", remaps: Mapping[str, str] | None = None) -> str:
    """The policy as XML.

    Args:
        namespace: of all nodes, without slashes at its ends.
        remaps: names of the robot's topics, by SALUS's names.
    """
    remaps, rows = remaps or {}, topics()
    nodes = sorted({node for row in rows for node in (*row.publishers, *row.subscribers)})
    root = ElementTree.Element("policy", version="0.2.0")
    enclaves = ElementTree.SubElement(root, "enclaves")
    for node in nodes:
        enclave = ElementTree.SubElement(enclaves, "enclave", path=f"/{namespace}/{node}")
        profiles = ElementTree.SubElement(enclave, "profiles")
        profile = ElementTree.SubElement(profiles, "profile", ns=f"/{namespace}", node=node)
        published = ["/rosout", "/parameter_events"]
        published += [] if node in UNMANAGED else ["~/transition_event"]
        published += [row.name for row in rows if node in row.publishers]
        subscribed = ["/clock", "/parameter_events"]
        subscribed += [row.name for row in rows if node in row.subscribers]
        subscribed += WITH_TABLE.get(node, ())
        offered = [f"~/{name}" for name in (*OF_ALL, *(() if node in UNMANAGED else OF_MANAGED))]
        offered += [name for name, (servers, _) in SERVICES.items() if node in servers.split()]
        called = [name for name, (_, clients) in SERVICES.items() if node in clients]
        for kind, right, names in (
            ("topic", "publish", published),
            ("topic", "subscribe", subscribed),
            ("service", "reply", offered),
            ("service", "request", called),
        ):
            if names:
                listed = ElementTree.SubElement(profile, f"{kind}s", {right: "ALLOW"})
                for name in sorted({remaps.get(name, name) for name in names}):
                    ElementTree.SubElement(listed, kind).text = name
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- tools/sros2/policy.py -->\n{text}\n'


def main() -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--namespace", default="salus")
    parser.add_argument("--remap", action="append", default=[], metavar="TOPIC=/OTHER")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    remaps = dict(entry.partition("=")[::2] for entry in arguments.remap)
    unknown = remaps.keys() - {row.name for row in topics()}
    if unknown or not all(remaps.values()):
        parser.error(f"--remap: TOPIC=/OTHER with a topic of docs/architecture.md, not {unknown}")
    arguments.output.write_text(policy(arguments.namespace, remaps), encoding="utf-8")
    print(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
