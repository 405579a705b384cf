# SPDX-License-Identifier: Apache-2.0
"""What a predictor reads and the data lack: a report on it says so, or is not made."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection

from salus_core.data import StepData
from salus_core.predictors.features import InputLayout
from salus_core.predictors.model import NeuralPredictor
from salus_core.report.sources import Parts

READ_BY_GROUP = {
    "signals": ("signals",),
    "proprioception": ("proprioception",),
    "action": ("action",),
    "action_std": ("action_std",),
    "small_set": ("signals", "action_std"),
    "embedding": ("embedding",),
}
"""Inputs that each group of a predictor's columns is made from; "valid" is always there."""

INPUTS = tuple(dict.fromkeys(name for names in READ_BY_GROUP.values() for name in names))


class MissingInputError(ValueError):
    """The data lack throughout what a predictor reads, or do not say which policy they are of."""


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that allow a report in spite of what the data lack."""
    parser.add_argument(
        "--allow-missing",
        nargs="+",
        default=[],
        choices=INPUTS,
        metavar="INPUT",
        help="report though no step has this input of the predictor: some of " + ", ".join(INPUTS),
    )
    parser.add_argument(
        "--allow-unchecked-policy",
        action="store_true",
        help="report though the data do not say which policy they were recorded with",
    )


def inputs_read(layout: InputLayout) -> tuple[str, ...]:
    """Names of the inputs that a predictor reads, of INPUTS."""
    read = {name for group in layout.inputs for name in READ_BY_GROUP.get(group, ())}
    return tuple(name for name in INPUTS if name in read)


def require_inputs(
    predictor: NeuralPredictor, data: StepData, part: str, allowed: Collection[str] = ()
) -> None:
    """Refuse data of which no step has an input that a predictor reads.

    Args:
        predictor: that reads it.
        data: to be reported on.
        part: name of the data, for the message.
        allowed: inputs that may be missing.

    Raises:
        MissingInputError: naming the first such input, and the option that allows it.
    """
    if predictor.layout.proprioception_names:
        data = data.with_proprioception(predictor.layout.proprioception_names)
    missing = data.missing
    seen = data.valid[:, ~predictor.layout.hidden]
    for name in inputs_read(predictor.layout):
        lacks = not seen.any() if name == "signals" else missing[name] == len(data)
        if lacks and name not in allowed:
            raise MissingInputError(
                f"no step of the {part} part has '{name}', which predictor '{predictor.name}' "
                f"reads: record it, or give --allow-missing {name}"
            )


def require_checked_policy(data: StepData, part: str) -> None:
    """Refuse data of which it cannot be checked whether a predictor was made for their policy.

    Raises:
        MissingInputError: the data name no signals' schema or no policy.
    """
    for name, there in (("schema_hash", data.schema_hash), ("policies", data.policies)):
        if not there or (name == "policies" and not all(digest for _, digest in data.policies)):
            raise MissingInputError(
                f"the {part} part does not say which policy it was recorded with ({name} is "
                "empty): record signal_info, too, or give --allow-unchecked-policy"
            )


def checked_parts(
    predictor: NeuralPredictor,
    parts: Parts,
    allow_missing: Collection[str] = (),
    allow_unchecked_policy: bool = False,
) -> Parts:
    """The parts of an evaluation as a predictor may be given them.

    Args:
        predictor: to be reported on.
        parts: of the evaluation.
        allow_missing: inputs that no step needs to have.
        allow_unchecked_policy: take data that do not say their policy for those of the
            predictor's own.

    Raises:
        MissingInputError: an input that it reads is missing throughout, or the policy of some
            data cannot be checked.
    """
    for part, data in (("test", parts.test), *parts.held_out.items()):
        require_inputs(predictor, data, part, allow_missing)

    def checked(part: str, data: StepData) -> StepData:
        try:
            require_checked_policy(data, part)
        except MissingInputError:
            if not allow_unchecked_policy:
                raise
            source = predictor.source
            return dataclasses.replace(
                data,
                schema_hash=data.schema_hash or source.schema_hash,
                policies=source.policies,
                members=data.members or source.members,
            )
        return data

    found = {name: checked(name, data) for name, data in parts.items()}
    return Parts(
        held_out={name: found.pop(name) for name in parts.held_out},
        by_fraction=parts.by_fraction,
        **found,
    )
