"""What is wrong with a data set, told by the case that it costs: training needs all of them, predicting does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from segtrain.core.errors import Problem


class Faults:
    """Problems under the case that each costs, in the order of the cases as they came up."""

    def __init__(self) -> None:
        self._found: dict[str, list[Problem]] = {}

    def __iter__(self) -> Iterator[tuple[str, Problem]]:
        """(case, problem); the case is "" where it costs all of them."""
        return ((case, _about(problem, case)) for case, problems in self._found.items() for problem in problems)

    def __contains__(self, case: str) -> bool:
        """Whether something is wrong with a case."""
        return bool(self._found.get(case))

    def of(self, case: str = "") -> list[Problem]:
        """The list that takes the problems of a case, or those of the whole."""
        return self._found.setdefault(case, [])

    @property
    def problems(self) -> list[Problem]:
        """All of them."""
        return [problem for _, problem in self]


def _about(problem: Problem, case: str) -> Problem:
    return problem if problem.cases or not case else replace(problem, cases=(case,))
