# SPDX-License-Identifier: Apache-2.0
"""The interface that every world offers over ROS 2, as data that both worlds are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from salus_core.paths import PathError, read_yaml

SCHEMA = 1


class InterfaceError(ValueError):
    """The interface file cannot be used; the message names the file and the field."""


@dataclass(frozen=True)
class Profile:
    """Quality of service; the history is keep last.

    Attributes:
        reliability: 'reliable' or 'best_effort'.
        durability: 'volatile' or 'transient_local'.
        depth: messages kept.
    """

    reliability: str
    durability: str
    depth: int


@dataclass(frozen=True)
class Endpoint:
    """One topic or service of a world.

    Attributes:
        topic: relative to the namespace unless it begins with a slash.
        type: as in 'sensor_msgs/msg/Image'.
        profile: None for a service.
        frame: frame_id of its header; '' where the message has none or it is not the world's.
        units: of its numbers, for people.
        camera: whose topic it is; '' for the others.
    """

    topic: str
    type: str
    profile: Profile | None = None
    frame: str = ""
    units: str = ""
    camera: str = ""


@dataclass(frozen=True)
class Joint:
    """One joint of joint_states with its units."""

    name: str
    position: str
    effort: str


@dataclass(frozen=True)
class Interface:
    """Everything that a world publishes, takes and serves.

    Attributes:
        base_frame: frame of poses and actions.
        rate: control steps per second [Hz].
        cameras: their names.
        encoding, width, height: of every image [px].
        joints: in the order of joint_states.
        publishers, subscriptions, services: by topic.
        simulator: by topic, what Isaac Sim's own nodes publish to the bridge.
    """

    base_frame: str
    rate: float
    cameras: tuple[str, ...]
    encoding: str
    width: int
    height: int
    joints: tuple[Joint, ...]
    publishers: dict[str, Endpoint]
    subscriptions: dict[str, Endpoint]
    services: dict[str, Endpoint]
    simulator: dict[str, Endpoint]

    @property
    def joint_names(self) -> list[str]:
        """Names in the order of joint_states."""
        return [joint.name for joint in self.joints]


def load_interface(path: str | Path | None = None) -> Interface:
    """Read an interface file, or the one that comes with the package.

    Raises:
        InterfaceError: the file is missing, is no YAML, or lacks or misnames a field.
    """
    source = Path(path) if path else files("salus_isaac") / "interface.yaml"
    try:
        data = read_yaml(source)
    except PathError as error:
        raise InterfaceError(f"interface file {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise InterfaceError(f"interface file {source}: expected 'schema: {SCHEMA}'")
    try:
        return _interface(data)
    except (KeyError, TypeError) as error:
        raise InterfaceError(f"interface file {source}: {error}") from error


def _interface(data: dict[str, Any]) -> Interface:
    profiles = {name: Profile(**values) for name, values in data["profiles"].items()}
    cameras = tuple(data["cameras"])

    def endpoints(section: str) -> dict[str, Endpoint]:
        found = {}
        for entry in data[section]:
            for camera in cameras if "{camera}" in entry["topic"] else ("",):
                endpoint = Endpoint(
                    topic=entry["topic"].format(camera=camera),
                    type=entry["type"],
                    profile=profiles[entry["profile"]] if "profile" in entry else None,
                    frame=entry.get("frame", "").format(base=data["base_frame"], camera=camera),
                    units=entry.get("units", ""),
                    camera=camera,
                )
                found[endpoint.topic] = endpoint
        return found

    return Interface(
        base_frame=data["base_frame"],
        rate=float(data["rate"]),
        cameras=cameras,
        encoding=data["image"]["encoding"],
        width=data["image"]["width"],
        height=data["image"]["height"],
        joints=tuple(Joint(**entry) for entry in data["joints"]),
        publishers=endpoints("publishers"),
        subscriptions=endpoints("subscriptions"),
        services=endpoints("services"),
        simulator=endpoints("simulator"),
    )
