# SPDX-License-Identifier: Apache-2.0
"""Descriptions of parameters that launch files import."""

from ._parameter_descriptions import (
    Parameter,
    ParameterFile,
    ParameterValue,
)

__all__ = [
    "Parameter",
    "ParameterFile",
    "ParameterValue",
]
