r"""Drawing the rows of a plate-batch, with their Horvitz-Thompson weights.

One rule covers dense plates, nests and crossings. A plate that is named, and lies within no other
named plate, is a *unit* plate: `n` of its `N` rows are drawn uniformly without replacement. What
lies below a drawn row comes with it, whole or, where that plate is named too, as an independent
draw of at most `m` rows per group. What a row lies within comes with it as well ("closed upward").

Inclusion probabilities. A unit row: :math:`n/N`. A row below it: that, times :math:`m/|group|` for
every subsampled level on the way. A row reached upward is in the batch if and only if at least one
of the `k` unit rows connected to it is drawn, which a hypergeometric draw misses with probability

.. math:: 1 - \pi = \binom{N-k}{n} \Big/ \binom{N}{n}.

Unit plates are drawn independently of each other, so nothing may be connected to two of them.

A dense unit plate may come in runs of consecutive rows, with the same inclusion probabilities:
`pavi.data.blocks` derives them. The draws of a unit plate may be independent from batch to batch,
or exclude each other until all rows have come: `pavi.data.epochs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np

from pavi.core.plates import PlateGraph
from pavi.data.blocks import check_blocks, draw_blocks
from pavi.data.epochs import Choice, Independent
from pavi.data.plate_data import PlateData

Rows = dict[str, np.ndarray]
# How many terms of a sum are held at a time, and where a probability of e to this is zero.
BLOCK, CERTAIN = 2**20, -50.0


@final
class PlateSampler:
    """Draws rows of every plate.

    Args:
        data: The data.
        sizes: Per named plate, the number of rows to draw: of the plate as a whole or, below
            another named plate, of each of its groups. Without any, a batch is everything.
        blocks: Per named plate that lies within no other, the length of the runs of consecutive
            rows that it comes in; a store reads each of these at once.

    Raises:
        ValueError: If a plate is unknown, a size is not between one and the number of rows, the
            named plates are connected in a way without known inclusion probabilities, or a block
            does not fit.

    Example:
        `{"subject": 8, "vertex": 256}` draws a block of a full crossing,
        `{"lea": 20, "school": 5}` at most five schools of each of twenty authorities,
        `{"rating": 2048}` ratings with the
        students and lecturers they belong to.
    """

    def __init__(
        self, data: PlateData, sizes: Mapping[str, int], *, blocks: Mapping[str, int] | None = None
    ) -> None:
        graph, blocks = data.model.plates, blocks or {}
        _check_sizes(sizes, data)
        check_blocks(blocks, sizes, data)
        units = [p for p in sizes if not graph.ancestors(p) & set(sizes)]
        families = [_Family(data, unit, sizes, blocks.get(unit, 1)) for unit in units]
        seen: dict[str, str] = {}
        for family in families:
            for plate in family.plates:
                if plate in seen:
                    raise ValueError(
                        f"plates {seen[plate]!r} and {family.unit!r} cannot both be drawn: "
                        f"{plate!r} is connected to both, so it has no known inclusion "
                        f"probability; draw {plate!r} itself or one of the two."
                    )
                seen[plate] = family.unit
        for name, site in data.model.sites.items():
            upward = [p for p in site.plates if any(p in f.upward for f in families)]
            together = [p for p in site.plates if p in seen and p not in upward]
            for plate in upward:
                if others := [
                    p for p in (*upward, *together) if p != plate and seen[p] == seen[plate]
                ]:
                    raise ValueError(
                        f"site {name!r} crosses {plate!r} with {others[0]!r}, which come into the "
                        f"batch together through {seen[plate]!r}; draw these two plates instead."
                    )
        self._families = families

    @property
    def reached(self) -> Rows:
        """Per plate whose rows come with those of finer plates, their inclusion probabilities."""
        return {p: chance for f in self._families for p, chance in f.reached.items()}

    def draw(self, rng: np.random.Generator, choice: Choice | None = None) -> tuple[Rows, Rows]:
        """Ascending row numbers and weights, per plate that is not taken whole.

        Args:
            rng: Of the draw.
            choice: Of the rows of unit plates; independent of other draws by default.
        """
        rows: Rows = {}
        weights: Rows = {}
        for family in self._families:
            family.draw(rng, choice or Independent(rng), rows, weights)
        return rows, weights


@final
class _Family:
    """A unit plate and all plates connected to it."""

    def __init__(self, data: PlateData, unit: str, sizes: Mapping[str, int], block: int) -> None:
        graph = data.model.plates
        self.unit, self.data, self.sizes, self.block = unit, data, sizes, block
        below = graph.descendants(unit)
        self.below = [p for p in graph if p in below]
        family = {unit, *below}
        above = set().union(*(graph.ancestors(p) for p in family)) - family
        self.upward = [p for p in graph if p in above]
        self.plates = [unit, *self.below, *self.upward]
        for plate in self.upward:
            if left := sorted(graph.descendants(plate) - set(self.plates)):
                raise ValueError(
                    f"drawing {unit!r} brings only some rows of {plate!r} into the batch, but "
                    f"{left[0]!r} lies within {plate!r} too and would be taken whole; "
                    f"draw {plate!r}."
                )
        self.parent = {p: self._parent(graph, p, family) for p in self.below}
        grouped = [p for p in self.below if p in sizes]
        others = sorted(above - graph.ancestors(unit))
        if grouped and others:
            raise ValueError(
                f"drawing rows of {grouped[0]!r} per row of {unit!r} leaves {others[0]!r}, which "
                "is crossed with it, without a known inclusion probability; draw one plate only."
            )
        if block > 1 and self.upward:
            raise ValueError(
                f"blocks of plate {unit!r}: its rows bring rows of {self.upward[0]!r} along, "
                "whose inclusion probabilities are known for single rows only; leave "
                "these blocks out."
            )
        self.reached = {p: self._reached(graph, p, family) for p in self.upward}

    def draw(self, rng: np.random.Generator, choice: Choice, rows: Rows, weights: Rows) -> None:
        size, total = self.sizes[self.unit], self.data.cardinalities[self.unit]
        rows[self.unit] = draw_blocks(self.unit, total, size, self.block, choice)
        weights[self.unit] = np.full(size, total / size)
        for plate in self.below:
            parent = self.parent[plate]
            children = self.data.children(plate, parent)
            counts = children.counts(rows[parent])
            if plate in self.sizes:
                found, factor = children.sample(rows[parent], self.sizes[plate], rng)
                counts = np.minimum(counts, self.sizes[plate])
                weight = np.repeat(weights[parent], counts) * factor
            else:
                found, weight = children.rows(rows[parent]), np.repeat(weights[parent], counts)
            order = np.argsort(found, kind="stable")
            rows[plate], weights[plate] = found[order], weight[order]
        for plate in reversed(self.upward):
            reached = [
                self.data.links[child][plate].numpy()[rows[child]]
                for child in self.data.model.plates.children(plate)
                if child in rows
            ]
            rows[plate] = np.unique(np.concatenate(reached))
            weights[plate] = 1.0 / self.reached[plate][rows[plate]]

    @staticmethod
    def _parent(graph: PlateGraph, plate: str, family: set[str]) -> str:
        """The one plate above `plate` through which it is drawn."""
        parents = [parent for parent in graph[plate].within if parent in family]
        if len(parents) > 1:
            raise ValueError(
                f"plate {plate!r} lies within {parents}, which both hang on a drawn plate, so it "
                "has no known inclusion probability; draw a finer plate."
            )
        return parents[0]

    def _reached(self, graph: PlateGraph, plate: str, family: set[str]) -> np.ndarray:
        """The probability that at least one connected unit row is drawn."""
        total, groups = (self.data.cardinalities[p] for p in (self.unit, plate))
        pairs = [
            self.data.parent_rows(fine, self.unit) * groups + self.data.parent_rows(fine, plate)
            for fine in family
            if plate in graph.ancestors(fine)
        ]
        degree = np.bincount(np.unique(np.concatenate(pairs)) % groups, minlength=groups)
        return inclusion_probability(degree, total=total, size=self.sizes[self.unit])


def inclusion_probability(degree: np.ndarray, *, total: int, size: int) -> np.ndarray:
    r"""The probability that a draw of `size` of `total` hits at least one of `degree` marked rows.

    .. math:: \pi = 1 - \binom{N-k}{n} \Big/ \binom{N}{n}
        = 1 - \prod_{j<k} \Big(1 - \frac{n}{N-j}\Big)

    Example:
        >>> inclusion_probability(np.array([1, 3]), total=4, size=2).round(12).tolist()
        [0.5, 1.0]
    """
    log_missed = np.where(degree > total - size, -np.inf, 0.0)
    left, done = np.flatnonzero((degree > 0) & (degree <= total - size)), 0
    # A product of the ratios (N - n - j) / (N - j), j < k, keeps all digits where the difference
    # of log-gammas loses them. Its terms are summed once for all degrees, a block at a time.
    while len(left):
        terms = np.arange(done, min(done + BLOCK, int(degree[left].max())))
        sums = np.cumsum(np.log1p(-size / (total - terms)))
        log_missed[left] += sums[np.minimum(degree[left] - done, len(sums)) - 1]
        done += len(terms)
        left = left[(degree[left] > done) & (log_missed[left] > CERTAIN)]
    return -np.expm1(log_missed)


def _check_sizes(sizes: Mapping[str, int], data: PlateData) -> None:
    if unknown := sorted(set(sizes) - set(data.cardinalities)):
        raise ValueError(
            f"batch names unknown plates {unknown}; plates are {list(data.cardinalities)}."
        )
    for plate, size in sizes.items():
        rows = data.cardinalities[plate]
        if not 1 <= size <= rows:
            raise ValueError(
                f"batch size of plate {plate!r} must be between 1 and its {rows} rows, got {size}."
            )
