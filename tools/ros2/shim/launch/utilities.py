# SPDX-License-Identifier: Apache-2.0
"""Names that launch files import from `launch.utilities`."""

from ._core import normalize as normalize_to_list_of_substitutions
from ._core import perform as perform_substitutions

__all__ = ["normalize_to_list_of_substitutions", "perform_substitutions"]
