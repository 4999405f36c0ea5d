"""The rows of a plate grouped by the row that they lie within."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np


@final
@dataclass(frozen=True)
class Children:
    """Compressed sparse rows: the children of parent `g` are `order[starts[g] : starts[g + 1]]`.

    Args:
        order: Child rows, grouped by parent, ascending within a parent.
        starts: Where each parent's children start, `(parents + 1,)`.
    """

    order: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, links: np.ndarray, num_parents: int) -> Children:
        """Group by `links`, each child's parent."""
        counts = np.bincount(links, minlength=num_parents)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return cls(np.argsort(links, kind="stable"), starts)

    def counts(self, parents: np.ndarray) -> np.ndarray:
        """How many children each parent has."""
        return self.starts[parents + 1] - self.starts[parents]

    def rows(self, parents: np.ndarray) -> np.ndarray:
        """All children of `parents`, parent by parent."""
        counts = self.counts(parents)
        ends = np.cumsum(counts)
        offsets = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        return self.order[np.repeat(self.starts[parents], counts) + offsets]

    def sample(
        self, parents: np.ndarray, size: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """At most `size` children of each parent, an independent draw per parent.

        The cost grows with the number of all children of `parents`.

        Returns:
            The drawn rows, parent by parent, and for each one over its inclusion probability.
        """
        counts = self.counts(parents)
        owner = np.repeat(np.arange(len(parents)), counts)
        shuffled = np.lexsort((rng.random(len(owner)), owner))
        rank = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        drawn = rank < size
        factor = np.maximum(counts / size, 1.0)
        return self.rows(parents)[shuffled[drawn]], factor[owner[drawn]]
