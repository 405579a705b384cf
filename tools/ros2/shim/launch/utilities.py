"""Names that launch files import from `launch.utilities`."""

from .core import normalize as normalize_to_list_of_substitutions
from .core import perform as perform_substitutions

__all__ = ["normalize_to_list_of_substitutions", "perform_substitutions"]
