"""All outcomes of a random draw, so that a law about their average is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import combinations, permutations
from math import prod
from typing import Any

import numpy as np


class Script(np.random.Generator):
    """Stands in for a `numpy.random.Generator` and takes prescribed decisions, then the first."""

    def __init__(self, decisions: Sequence[int]) -> None:
        super().__init__(np.random.PCG64(0))
        self.decisions = list(decisions)
        self.options: list[int] = []

    def choice(self, total: int, size: int, *, replace: bool, shuffle: bool) -> np.ndarray:
        assert not replace
        return self._next(list(combinations(range(total), size)))

    def integers(self, total: int) -> int:
        return int(self._next(range(total)))

    def permutation(self, total: int) -> np.ndarray:
        return self._next(list(permutations(range(total))))

    def random(self, size: int) -> np.ndarray:
        """Only their order is ever used."""
        return self._next(list(permutations(range(size))))

    def _next(self, options: Sequence[Any]) -> np.ndarray:
        self.options.append(len(options))
        if len(self.options) > len(self.decisions):
            self.decisions.append(0)
        return np.array(options[self.decisions[len(self.options) - 1]])


def every_draw(draw: Callable[[Any], Any]) -> Iterator[tuple[Any, Fraction]]:
    """Every outcome of `draw(generator)`, with its probability."""
    decisions: list[int] = []
    while True:
        script = Script(decisions)
        yield draw(script), Fraction(1, prod(script.options))
        decisions = script.decisions
        while decisions and decisions[-1] + 1 == script.options[len(decisions) - 1]:
            decisions.pop()
        if not decisions:
            return
        decisions[-1] += 1
