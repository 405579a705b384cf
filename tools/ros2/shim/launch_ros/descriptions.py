# SPDX-License-Identifier: Apache-2.0
"""The module from which newer launch files import descriptions of parameters."""

from ._parameter_descriptions import Parameter, ParameterFile, ParameterValue

__all__ = ["Parameter", "ParameterFile", "ParameterValue"]
