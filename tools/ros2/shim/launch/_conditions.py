# SPDX-License-Identifier: Apache-2.0
"""Conditions of actions."""

from collections.abc import Callable

from ._core import LaunchContext, SomeSubstitutionsType, normalize, perform
from ._substitutions import SubstitutionFailure, as_bool


class InvalidConditionExpressionError(Exception):
    """The text of a condition is neither true nor false."""


class Condition:
    """A predicate over the context."""

    def __init__(self, *, predicate: Callable[[LaunchContext], bool]):
        self._predicate = predicate

    def evaluate(self, context: LaunchContext) -> bool:
        """Return whether the action is to be executed."""
        return self._predicate(context)


class IfCondition(Condition):
    """Holds if the text is 'true' or '1'."""

    def __init__(self, predicate_expression: SomeSubstitutionsType):
        self._expression = normalize(predicate_expression)
        super().__init__(predicate=self._holds)

    def _holds(self, context: LaunchContext) -> bool:
        try:
            return as_bool(perform(context, self._expression))
        except SubstitutionFailure as error:
            raise InvalidConditionExpressionError(f"{type(self).__name__}: {error}") from error


class UnlessCondition(IfCondition):
    """Holds if the text is 'false' or '0'."""

    def _holds(self, context: LaunchContext) -> bool:
        return not super()._holds(context)
