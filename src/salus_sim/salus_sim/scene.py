# SPDX-License-Identifier: Apache-2.0
"""The scene's numbers: one YAML file that every world reads."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from salus_core.paths import PathError, read_yaml

SCHEMA = 2
_PACKAGED = files("salus_sim") / "scene.yaml"
_SECTIONS = (
    "control",
    "arm",
    "objects",
    "goal",
    "tray",
    "tasks",
    "wordings",
    "obstacle",
    "cameras",
    "difficulties",
    "referee",
    "fault_profiles",
    "faults",
)


class SceneError(ValueError):
    """The scene file cannot be used; the message names the file and the field."""


class Scene(SimpleNamespace):
    """The sections of the scene file as plain dictionaries, one attribute each."""

    control: dict[str, Any]
    arm: dict[str, Any]
    objects: dict[str, Any]
    goal: dict[str, Any]
    tray: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
    wordings: dict[str, list[str]]
    obstacle: dict[str, Any]
    cameras: dict[str, Any]
    difficulties: dict[str, dict[str, Any]]
    referee: dict[str, Any]
    fault_profiles: dict[str, dict[str, float]]
    faults: dict[str, dict[str, Any]]

    @property
    def control_period(self) -> float:
        """Seconds per control step."""
        return 1.0 / self.control["rate"]

    def profile(self, name: str) -> dict[str, float]:
        """Probability of each fault in the named profile.

        Raises:
            SceneError: there is neither a profile nor a fault of that name.
        """
        if name in self.fault_profiles:
            return self.fault_profiles[name]
        if name in self.faults:
            return {name: 1.0}
        known = ", ".join([*self.fault_profiles, *self.faults])
        raise SceneError(f"unknown fault profile '{name}': use one of {known}")

    def difficulty(self, name: str) -> dict[str, Any]:
        """Ranges of the named difficulty.

        Raises:
            SceneError: there is no difficulty of that name.
        """
        if name not in self.difficulties:
            known = ", ".join(self.difficulties)
            raise SceneError(f"unknown difficulty '{name}': use one of {known}")
        return self.difficulties[name]


def load_scene(path: str | Path | None = None) -> Scene:
    """Read a scene file, or the one that comes with the package.

    Raises:
        SceneError: the file is missing, is no YAML, lacks a section or has another schema.
    """
    source = Path(path) if path else _PACKAGED
    try:
        data = read_yaml(source)
    except PathError as error:
        raise SceneError(f"scene file {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise SceneError(f"scene file {source}: expected 'schema: {SCHEMA}'")
    missing = [name for name in _SECTIONS if name not in data]
    if missing:
        raise SceneError(f"scene file {source} lacks the section(s) {', '.join(missing)}")
    return Scene(**{name: data[name] for name in _SECTIONS})


def scene_hash() -> str:
    """SHA-256 of the scene file that comes with the package: hexadecimal digits."""
    return sha256(_PACKAGED.read_bytes()).hexdigest()
