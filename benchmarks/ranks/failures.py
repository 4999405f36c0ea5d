r"""Ranks fail while a run goes on: how often to write checkpoints.

A run of `W` seconds of work writes a checkpoint, which takes `C` seconds, after every
:math:`\tau` seconds of work. Failures of a rank come as a Poisson process of mean time `M` between
them, so those of the run at :math:`R / M`. A failure loses what was done since the last
checkpoint that is complete, and takes `D` seconds to start again from there, in which another may
come. Of this process the expected time is known (Daly, equation 13),

.. math:: E[T] = \frac{M}{R}\, e^{D R / M} \Big(e^{(\tau + C) R / M} - 1\Big) \frac{W}{\tau},

and its minimum lies near Young's :math:`\tau = \sqrt{2 C M / R}`.

Reference:
    Young (1974), A first order approximation to the optimum checkpoint interval. Daly (2006), A
    higher order estimate of the optimum checkpoint interval for restart dumps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np


@final
@dataclass(frozen=True)
class Failures:
    """Of a run, all in seconds.

    Args:
        between: The mean time between failures of a rank.
        ranks: How many there are.
        checkpoint: What a checkpoint takes.
        restart: What a failure takes to start again.
    """

    between: float
    ranks: int
    checkpoint: float
    restart: float

    @property
    def mean(self) -> float:
        """The mean time between failures of the run."""
        return self.between / self.ranks

    def best_interval(self) -> float:
        """Young's interval."""
        return math.sqrt(2 * self.checkpoint * self.mean)

    def expected(self, work: float, interval: float) -> float:
        """The expected time of a run, Daly's."""
        pieces = work / interval
        lost = math.expm1((interval + self.checkpoint) / self.mean)
        return self.mean * math.exp(self.restart / self.mean) * lost * pieces

    def simulated(
        self, work: float, interval: float, *, runs: int, rng: np.random.Generator
    ) -> np.ndarray:
        """The times of simulated runs, `(runs,)`.

        Args:
            work: What a run has to do.
            interval: Work between checkpoints; the last piece may be shorter.
            runs: How many to simulate.
            rng: Of the failures.
        """
        done = np.zeros(runs)
        clock = np.zeros(runs)
        failure = rng.exponential(self.mean, runs)  # when the next one comes
        starting = np.zeros(runs, dtype=bool)
        while (left := done < work).any():
            piece = np.minimum(interval, work - done)
            needed = piece + self.checkpoint + np.where(starting, self.restart, 0.0)
            through = left & (clock + needed <= failure)
            broken = left & ~through
            clock = np.where(through, clock + needed, np.where(broken, failure, clock))
            done = np.where(through, done + piece, done)
            starting = np.where(left, broken, starting)
            failure[broken] += rng.exponential(self.mean, int(broken.sum()))
        return clock
