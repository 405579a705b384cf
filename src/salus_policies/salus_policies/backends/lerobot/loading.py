# SPDX-License-Identifier: Apache-2.0
"""Loads a policy of LeRobot with its pre- and post-processing, and refuses half-loaded ones."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from salus_policies.backends.base import BackendError
from salus_policies.backends.checkpoints import require

INSTALL = "pip install -r tools/env/requirements-vla.txt"
PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")
STATISTICS = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
"""What each of LeRobot's modes of normalisation needs."""


@dataclass
class Member:
    """One loaded checkpoint.

    Attributes:
        policy: LeRobot's PreTrainedPolicy.
        preprocess: From an observation to a batch.
        postprocess: From a normalised action to the policy's own units.
        folder: Where it came from.
        statistics: Of the training data, by feature.
    """

    policy: Any
    preprocess: Any
    postprocess: Any
    folder: Path
    statistics: dict[str, dict[str, torch.Tensor]]

    @property
    def config(self) -> Any:
        """The policy's configuration."""
        return self.policy.config

    @property
    def action_size(self) -> int:
        """Numbers of one action."""
        return int(self.config.output_features["action"].shape[0])

    @property
    def state_size(self) -> int | None:
        """Numbers of the state; None: the policy takes none."""
        feature = self.config.input_features.get("observation.state")
        return None if feature is None else int(feature.shape[0])

    @property
    def images(self) -> list[str]:
        """Image inputs, without those that the policy fills itself."""
        return [key for key in self.config.image_features if ".empty_camera_" not in key]


def load_member(
    kind: str,
    folder: Path,
    device: str,
    changes: Mapping[str, Any],
    processor_overrides: Mapping[str, Mapping[str, Any]],
) -> Member:
    """Loads a checkpoint by `from_pretrained`.

    Args:
        kind: The policy type that it must be of, as LeRobot names it.
        folder: The checkpoint.
        device: For the policy and its pre-processing.
        changes: Attributes of the policy's configuration to change before it is built.
        processor_overrides: As make_pre_post_processors takes them.

    Returns:
        The policy, in evaluation mode.

    Raises:
        BackendError: A library or file is missing, or the checkpoint is incomplete.
    """
    require("lerobot", kind, INSTALL)
    factory = require("lerobot.policies.factory", kind, INSTALL)
    from lerobot.configs.policies import PreTrainedConfig

    for name in ("config.json", "model.safetensors", *PROCESSORS):
        if not (folder / name).is_file():
            raise BackendError(
                f"checkpoint {folder} has no {name}: give a folder that LeRobot 0.4 or newer saved "
                "(older ones: lerobot's migrate_policy_normalization), downloaded completely"
            )
    for name in PROCESSORS:
        _check_steps(folder / name)
    try:
        config = PreTrainedConfig.from_pretrained(folder)
        if config.type != kind:
            raise BackendError(f"checkpoint {folder} is a '{config.type}' policy, not '{kind}'")
        for name, value in {"device": device, "compile_model": False, **changes}.items():
            if hasattr(config, name):
                setattr(config, name, value)
        # Missing tensors are an error, not a warning: random weights would act.
        policy = factory.get_policy_class(kind).from_pretrained(folder, config=config, strict=True)
        overrides = {"device_processor": {"device": device}, **processor_overrides}
        preprocess, postprocess = factory.make_pre_post_processors(
            config, pretrained_path=str(folder), preprocessor_overrides=overrides
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise BackendError(
            f"checkpoint {folder} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    statistics = _check_statistics(folder, (preprocess, postprocess))
    return Member(policy, preprocess, postprocess, folder, statistics)


def _check_steps(path: Path) -> None:
    """LeRobot imports whatever class a step without a registered name asks for: refuse that."""
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        named = [isinstance(step.get("registry_name"), str) for step in steps]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BackendError(f"{path} is no processor of LeRobot: {error!r}") from error
    for number, (step, is_named) in enumerate(zip(steps, named, strict=True)):
        if not is_named:
            raise BackendError(
                f"{path}: step {number} has no 'registry_name' and would import "
                f"{step.get('class')!r}: only LeRobot's registered steps are run. Save the "
                "checkpoint again with them, or serve it from a backend of your own"
            )


def _check_statistics(folder: Path, pipelines: Any) -> dict[str, dict[str, torch.Tensor]]:
    """LeRobot passes values through unchanged where statistics are missing: refuse that."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    normalisers = [
        step for pipeline in pipelines for step in pipeline.steps if hasattr(step, "norm_map")
    ]
    if len(normalisers) < 2:
        raise BackendError(f"checkpoint {folder} does not normalise both its inputs and actions")
    for step in normalisers:
        modes = {str(getattr(k, "value", k)): v.value for k, v in step.norm_map.items()}
        for key, feature in step.features.items():
            needed = STATISTICS.get(modes.get(feature.type.value, "IDENTITY"), ())
            given = step._tensor_stats.get(key, {})
            for name in needed:
                _check_statistic(folder, key, name, given.get(name), tuple(feature.shape))
            found.setdefault(key, {}).update(given)
    return found


def _check_statistic(
    folder: Path, key: str, name: str, value: torch.Tensor | None, shape: tuple[int, ...]
) -> None:
    problem = ""
    if value is None:
        problem = "is missing: the values would pass through unchanged"
    elif tuple(value.shape) != shape and value.numel() != shape[0]:
        problem = f"has shape {tuple(value.shape)}, the feature {shape}"
    elif not torch.isfinite(value).all():
        problem = "is not finite"
    elif name == "std" and not (value > 0).all():
        problem = "is zero in a dimension"
    if problem:
        raise BackendError(
            f"checkpoint {folder}: the data set's statistic '{name}' of '{key}' {problem}. Take a "
            "checkpoint fine-tuned on your robot's data, or write its statistics into the "
            "pre- and post-processor (lerobot's make_pre_post_processors with dataset_stats)"
        )
