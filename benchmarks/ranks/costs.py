r"""What a sharded run costs, as functions of cardinality, encoding size and the number of ranks.

Of a model with `W` shared weights, and tables of sites with :math:`r_i` rows and :math:`d_i`
numbers a row, of which a step draws :math:`n_i` on a rank, on `R` ranks in single precision:

.. math::
    \text{bytes a rank sends a step} &= 4 W + \sum_{i\ \text{common}} (n_i (8 + 4 d_i) + 8)
        + \text{a few} \\
    \text{bytes of tables on a rank} &= \sum_{i\ \text{split}} \frac{r_i}{R} (12 d_i + 12)
        + \sum_{i\ \text{common}} r_i (12 d_i + 12) + 12 W \\
    \text{seconds a step} &= (a + b\, n)\, m_R + \sum_c t_c

A row holds its encoding, two moments and three numbers about its updates. A gradient of a
common table travels as row numbers of 8 bytes and values. None of the first line grows with a
cardinality: :math:`n_i` is what is drawn. `a` and `b` are a rank's time for a step of `n` subjects
x vertices. Ranks wait for the slowest, :math:`m_R = E[\max_R T] / E[T]`. A collective of `B` bytes
takes, in a tree,

.. math:: t = 2 \lceil \log_2 R \rceil\, \lambda + 2 \frac{R - 1}{R} \frac{B}{\beta},

and one that gathers, :math:`\lceil \log_2 R \rceil \lambda + (R - 1) B / \beta`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

BYTES = 4  # of a number
# Of a step, whatever is fitted: a signal every fourth step (8 / 4), the ELBO every tenth (4 / 10),
# and the norm over ranks (8, where there are tables).
ALWAYS, NORM = 8 / 4 + 4 / 10, 8


@final
@dataclass(frozen=True)
class Table:
    """The encodings of a site.

    Args:
        rows: On all ranks.
        width: Numbers a row.
        drawn: Rows that a rank draws in a step.
        split: Whether ranks have rows of their own.
    """

    rows: int
    width: int
    drawn: int
    split: bool


@final
@dataclass(frozen=True)
class Network:
    """What connects ranks.

    Args:
        latency: Seconds of a hop.
        bandwidth: Bytes a second of a rank.
    """

    latency: float
    bandwidth: float

    def reduce_seconds(self, size: float, ranks: int) -> float:
        """Of an all-reduce."""
        if ranks == 1:
            return 0.0
        hops = 2 * math.ceil(math.log2(ranks))
        return hops * self.latency + 2 * (ranks - 1) / ranks * size / self.bandwidth

    def gather_seconds(self, size: float, ranks: int) -> float:
        """Of a gather of as much from every rank on every rank."""
        if ranks == 1:
            return 0.0
        hops = math.ceil(math.log2(ranks))
        return hops * self.latency + (ranks - 1) * size / self.bandwidth

    @classmethod
    def fitted(cls, microseconds: Mapping[int, float], *, ranks: int) -> Network:
        """From measured times of all-reduces by their bytes, by relative least squares."""
        size = np.array(list(microseconds), dtype=float)
        seconds = 1e-6 * np.array(list(microseconds.values()))
        hops, share = 2 * math.ceil(math.log2(ranks)), 2 * (ranks - 1) / ranks
        terms = np.stack([np.full_like(size, hops), share * size], 1) / seconds[:, None]
        (latency, inverse), *_ = np.linalg.lstsq(terms, np.ones_like(size), rcond=None)
        return cls(float(latency), 1 / float(inverse))


@final
@dataclass(frozen=True)
class Step:
    """The time of a step on one rank alone.

    Args:
        fixed: Seconds of a step of nothing.
        each: Seconds of a subject x vertex.
        times: Measured times of single steps over their mean.
    """

    fixed: float
    each: float
    times: Sequence[float]

    @classmethod
    def fitted(cls, seconds: Mapping[int, float], times: Sequence[float]) -> Step:
        """From measured seconds by subjects x vertices, by relative least squares."""
        drawn = np.array(list(seconds), dtype=float)
        measured = np.array(list(seconds.values()))
        terms = np.stack([np.ones_like(drawn), drawn], 1) / measured[:, None]
        (fixed, each), *_ = np.linalg.lstsq(terms, np.ones_like(drawn), rcond=None)
        return cls(float(fixed), float(each), [float(t / np.mean(times)) for t in times])

    def slowest(self, ranks: int) -> float:
        """The expected time of the slowest of so many ranks, over that of one.

        The mean of the largest of `R` draws from the measured times: the `i`-th smallest of `n`
        is the largest with probability :math:`(i/n)^R - ((i-1)/n)^R`.
        """
        ordered, n = np.sort(self.times), len(self.times)
        chance = np.diff((np.arange(n + 1) / n) ** ranks)
        return float(ordered @ chance)


@final
@dataclass(frozen=True)
class Costs:
    """What is fitted, and on what.

    Args:
        weights: Shared weights.
        tables: The tables of the guide.
        drawn: Subjects x vertices that a rank draws in a step.
        step: The time of a step on a rank.
        network: What connects ranks.
    """

    weights: int
    tables: Sequence[Table]
    drawn: int
    step: Step
    network: Network

    @property
    def reduced_bytes(self) -> float:
        """Bytes that a rank gives to all-reduces in a step, beside a few."""
        return BYTES * self.weights

    @property
    def gathered_bytes(self) -> float:
        """Bytes that a rank gives to gathers in a step."""
        common = [table for table in self.tables if not table.split]
        rows = sum(table.drawn * (8 + BYTES * table.width) for table in common)
        return rows + 8 * len(common)

    @property
    def bytes_per_step(self) -> float:
        """Bytes that a rank gives to collectives in a step."""
        norm = NORM if any(table.split for table in self.tables) else 0
        return self.reduced_bytes + self.gathered_bytes + ALWAYS + norm

    def state_bytes(self, ranks: int) -> float:
        """Bytes of parameters and of their optimiser's state on a rank."""
        total = 3.0 * BYTES * self.weights
        for table in self.tables:
            rows = table.rows / ranks if table.split else table.rows
            total += rows * BYTES * (3 * table.width + 3)
        return total

    def step_seconds(self, ranks: int) -> float:
        """Of a step on so many ranks."""
        alone = self.step.fixed + self.step.each * self.drawn
        travel = self.network.reduce_seconds(self.reduced_bytes, ranks)
        if self.gathered_bytes:
            travel += self.network.gather_seconds(8, ranks)
            travel += self.network.gather_seconds(self.gathered_bytes, ranks)
        if any(table.split for table in self.tables):
            travel += self.network.reduce_seconds(NORM, ranks)
        return alone * self.step.slowest(ranks) + travel
