# SPDX-License-Identifier: Apache-2.0
"""A checkpoint's manifest: read within bounds, of either format, and checked entry by entry."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from salus_core.actions import MAX_ACTIONS, TOOL_MOTION, ActionSpec
from salus_core.calibration.cross_conformal import CrossConformal, Threshold, threshold_from_dict
from salus_core.calibration.drift import DriftReference
from salus_core.calibration.probabilities import ProbabilityCalibration, calibration_from_dict
from salus_core.calibration.reading import choice, entry, numbers, strings
from salus_core.failures import FAILURE_NAMES, HORIZONS_S, RENAMED, Taxonomy
from salus_core.labels import horizon_steps
from salus_core.paths import PathError, read_bounded
from salus_core.predictors.features import GROUPS, InputLayout
from salus_core.predictors.registry import KINDS
from salus_core.predictors.settings import build, current_names
from salus_core.predictors.source import Source
from salus_core.signals import SIGNAL_NAMES

FORMAT = 2
"""Of manifests that are written; format 1, which knew but one kind of action, is read, too."""
MANIFEST = "manifest.json"

MAX_MANIFEST = 32 * 2**20
"""Bytes of a manifest; its drift reference and band are most of it."""
MAX_DEPTH = 16
MAX_UNITS = 65536
"""Of a layer, and of every other whole number among a network's settings."""
MAX_LAYERS = 32
MAX_STEPS = 2000
"""Of the longest horizon and of a network's window: a live step may have to pass so many."""
MAX_EMBEDDING = 16384
MAX_MEMBERS = 256
MAX_NAMES = 512


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Manifest:
    """What a manifest says, checked.

    Attributes:
        content: all of it, with the present names.
        identity: SHA-256 over its bytes, which hold that of the weights.
        weights_sha256: of the weights that it was written for.
    """

    content: dict[str, Any]
    identity: str
    weights_sha256: str


@dataclass(frozen=True)
class Parts:
    """What a predictor is built from, but for its weights; see NeuralPredictor."""

    predictor: str
    config: Any
    layout: InputLayout
    source: Source
    scene: int
    calibration: ProbabilityCalibration | None
    band: Threshold | None
    drift: DriftReference | None
    alarm_types: tuple[int, ...] | None = None


def read_file(path: Path, limit: int) -> bytes:
    """See `read_bounded`; raises CheckpointError."""
    try:
        return read_bounded(path, limit)
    except PathError as error:
        raise CheckpointError(str(error)) from error


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest alone.

    Raises:
        CheckpointError: it is missing, damaged, or of another version.
    """
    path = folder / MANIFEST
    if not folder.exists():
        raise CheckpointError(f"predictor checkpoint '{folder}' not found: no such folder")
    if not path.exists():
        raise CheckpointError(f"{folder} is no predictor checkpoint: no {MANIFEST}")
    found = read_file(path, MAX_MANIFEST)
    try:
        content = json.loads(found)
        _check_depth(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a manifest: it holds no mapping")
    try:
        written = content.get("format")
        if type(written) is not int or written not in (1, FORMAT):
            raise ValueError(
                f"has format {reprlib.repr(written)}, this program reads 1 and {FORMAT}"
            )
        content = _named_as_now(_of_format_1(content) if written == 1 else content)
        _check_description(content)
        digest = entry(content, "weights_sha256")
        if not isinstance(digest, str):
            raise ValueError("'weights_sha256' must be a string")
    except ValueError as error:
        raise CheckpointError(f"{path}: {one_line(error)}") from error
    return Manifest(content, hashlib.sha256(found).hexdigest(), digest)


def checkpoint_hash(folder: Path) -> str:
    """The identity of a checkpoint: SHA-256 over its manifest, which holds that of its weights.

    Raises:
        CheckpointError: see `read_manifest`.
    """
    return read_manifest(folder).identity


def checked_parts(content: Mapping[str, Any]) -> Parts:
    """Build everything but the network, each entry checked before it is used.

    Raises:
        ValueError: an entry is missing, unknown, of another type or shape, or out of its bounds;
            the message names it.
    """
    name = choice(content, "predictor", tuple(KINDS))
    config: Any = build(KINDS[name].config, entry(content, "network"), "network")
    _check_config(config)
    layout = build(InputLayout, entry(content, "layout"), "layout")
    source = build(Source, entry(content, "source"), "source")
    _check_layout(layout)
    _check_source(source, layout)
    shape = (len(source.horizons), len(source.failure_names))
    given = {part: entry(content, part) for part in ("calibration", "band", "drift")}
    drift = None if given["drift"] is None else _in("drift", DriftReference.from_dict, given)
    if drift is not None and drift.names != SIGNAL_NAMES:
        raise ValueError(f"drift: 'names' must be the {len(SIGNAL_NAMES)} signals")
    band = None if given["band"] is None else _in("band", threshold_from_dict, given)
    _check_threshold(band, KINDS[name].cross_validated, config)
    return Parts(
        predictor=name,
        config=config,
        layout=layout,
        source=source,
        scene=_whole(content, "scene", MAX_NAMES),
        calibration=None
        if given["calibration"] is None
        else _in("calibration", lambda found: calibration_from_dict(found, shape), given),
        band=band,
        drift=drift,
        alarm_types=_alarm_types(content, Taxonomy(source.failure_names)),
    )


def _check_threshold(band: Threshold | None, cross_validated: bool, config: Any) -> None:
    """Check that a threshold is of the predictor's sort.

    Raises:
        ValueError: it is of the other, or of another number of members.
    """
    if band is None:
        return
    if isinstance(band, CrossConformal) != cross_validated:
        raise ValueError("band: it is not of the kind that this predictor has")
    if isinstance(band, CrossConformal) and band.members != config.members:
        raise ValueError(f"band: 'members' is {band.members}, network.members {config.members}")


def _alarm_types(content: Mapping[str, Any], taxonomy: Taxonomy) -> tuple[int, ...] | None:
    """Codes of the failures that the alarm is about; None: older manifests do not say."""
    if "alarm_types" not in content:
        return None
    names = strings(content, "alarm_types")
    if not names or len(set(names)) < len(names) or any(n not in taxonomy.names for n in names):
        raise ValueError(
            f"'alarm_types' must name some of {', '.join(taxonomy.names)}, is {reprlib.repr(names)}"
        )
    return tuple(taxonomy.code(name) for name in names)


def _in(part: str, read: Any, given: Mapping[str, Any]) -> Any:
    try:
        return read(given[part])
    except ValueError as error:
        raise ValueError(f"{part}: {error}") from error


def _whole(content: Any, name: str, high: int) -> int:
    value = entry(content, name)
    if type(value) is not int or not 0 <= value <= high:
        raise ValueError(f"'{name}' must be a whole number up to {high}, is {reprlib.repr(value)}")
    return value


def _check_config(config: Any) -> None:
    """Check the sizes of a network before it is made."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        given = value if isinstance(value, tuple) else (value,)
        if len(given) > MAX_LAYERS:
            raise ValueError(f"network.{field.name}: {len(given)} layers, at most {MAX_LAYERS}")
        may_be_none = field.name in ("projection_width", "learned_features")
        for one in given:
            if type(one) is int and not (0 if may_be_none else 1) <= one <= MAX_UNITS:
                raise ValueError(f"network.{field.name} must lie between 1 and {MAX_UNITS}: {one}")
            # All of them are shares, but for the noise's standard deviation.
            if type(one) is float and not 0.0 <= one <= (
                1e3 if field.name == "embedding_noise" else 1.0
            ):
                raise ValueError(f"network.{field.name} must lie between 0 and 1: {one}")
    if 2 * sum(dilations := getattr(config, "dilations", ())) > MAX_STEPS:
        raise ValueError(
            f"network.dilations reach back {2 * sum(dilations)} steps, at most {MAX_STEPS}"
        )


def _check_layout(layout: InputLayout) -> None:
    for name, given, known in (
        ("inputs", layout.inputs, GROUPS),
        ("signals", layout.signals, SIGNAL_NAMES),
    ):
        if given != tuple(one for one in known if one in given):
            raise ValueError(
                f"layout.{name} must be some of {', '.join(known)}, in this order, are "
                f"{reprlib.repr(given)}"
            )
    if not layout.inputs:
        raise ValueError("layout.inputs is empty: a predictor reads something")
    for name, read, given_size, high in (
        ("proprioception_names", "proprioception", len(layout.proprioception_names), MAX_NAMES),
        ("embedding_size", "embedding", layout.embedding_size, MAX_EMBEDDING),
    ):
        low, high = (1, high) if read in layout.inputs else (0, 0)
        if not low <= given_size <= high:
            raise ValueError(
                f"layout.{name}: {given_size}, must lie between {low} and {high}, as '{read}' is "
                f"{'' if high else 'not '}among the inputs"
            )
    if not 1 <= len(layout.action_scale) <= MAX_ACTIONS:
        raise ValueError(f"layout.action_scale must hold 1 to {MAX_ACTIONS} numbers")
    if not all(1e-9 <= scale <= 1e9 for scale in layout.action_scale):
        raise ValueError(
            f"layout.action_scale must be positive and finite: {reprlib.repr(layout.action_scale)}"
        )


def _check_source(source: Source, layout: InputLayout) -> None:
    if not 1e-5 <= source.control_period <= 3600.0:
        raise ValueError(f"source.control_period is {reprlib.repr(source.control_period)} s")
    for name, value, high in (
        ("embedding_size", source.embedding_size, MAX_EMBEDDING),
        ("members", source.members, MAX_MEMBERS),
        ("proprioception_names", len(source.proprioception_names), MAX_NAMES),
        ("policies", len(source.policies), MAX_NAMES),
    ):
        if not 0 <= value <= high:
            raise ValueError(f"source.{name}: {value}, must lie between 0 and {high}")
    for name, ours, theirs in (
        ("embedding_size", layout.embedding_size, source.embedding_size),
        ("proprioception_names", layout.proprioception_names, source.proprioception_names),
    ):
        if ours and ours != theirs:
            raise ValueError(f"layout.{name} and source.{name} differ")
    Taxonomy(source.failure_names)
    longest = horizon_steps(source.control_period, source.horizons)[-1]
    if longest > MAX_STEPS:
        raise ValueError(f"source.horizons reach {longest} steps ahead, at most {MAX_STEPS}")
    if source.action_names or source.action_kinds:
        spec = ActionSpec.of(source.action_names, source.action_names, source.action_kinds)
        spec.check_size(layout.action_scale, "layout.action_scale")


def _check_description(content: Mapping[str, Any]) -> None:
    """Check the form of the entries that say what a predictor was made from, as far as given."""
    for path in ("training", "training.settings", "training.settings.data", "splits", "data"):
        at: Any = content
        for name in path.split("."):
            at = at.get(name, {})
        if not isinstance(at, dict):
            raise ValueError(f"'{path}' must be a mapping, is {reprlib.repr(at)}")
    groups = content.get("splits", {}).get("parts", {})
    if not isinstance(groups, dict):
        raise ValueError(f"'splits.parts' must be a mapping, is {reprlib.repr(groups)}")
    for name in groups:
        strings(groups, name)
    for role, used in content.get("data", {}).items():
        if not isinstance(used, dict):
            raise ValueError(f"'data.{role}' must be a mapping, is {reprlib.repr(used)}")
        if "seeds" in used:
            numbers(used, "seeds", (2,))
        if "tasks" in used:
            strings(used, "tasks")


def _check_depth(content: Any) -> None:
    level = [content]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {MAX_DEPTH} deep")


def _named_as_now(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest with the present names of its settings."""
    found = current_names(manifest)
    training = found.get("training", {})
    if isinstance(training, dict) and isinstance(training.get("settings"), dict):
        found["training"] = {**training, "settings": current_names(training["settings"])}
    return found


def _of_format_1(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest of format 1 as format 2 would have it: the horizons and types were always these.

    Raises:
        ValueError: they are others.
    """
    horizons = numbers(manifest, "horizons", (None,)).tolist()
    names = [RENAMED.get(name, name) for name in strings(manifest, "failure_names")]
    for name, found, ours in (
        ("horizons", horizons, list(HORIZONS_S)),
        ("failure_names", names, list(FAILURE_NAMES)),
    ):
        if found != ours:
            raise ValueError(f"{name} is {reprlib.repr(found)}, but format 1 has {ours}")
    if not isinstance(manifest.get("source"), dict):
        raise ValueError("it does not say what the predictor was trained on: source")
    source = manifest["source"] | {
        "horizons": horizons,
        "failure_names": names,
        "action_names": list(TOOL_MOTION.names),
        "action_kinds": [str(kind) for kind in TOOL_MOTION.kinds],
    }
    rest = {k: v for k, v in manifest.items() if k not in ("horizons", "failure_names")}
    return {**rest, "source": source}


def one_line(error: BaseException) -> str:
    """An error's text in one line of bounded length."""
    text = " ".join(str(error).split())
    return text if len(text) < 400 else text[:397] + "..."
