"""A number of a data set beside those of its replicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np


@final
@dataclass(frozen=True)
class Statistic:
    """A number of a data set, of the data and of their replicates.

    Args:
        name: In words.
        measured: Of the data.
        replicated: One per replicate, `(draws,)`.
    """

    name: str
    measured: float
    replicated: np.ndarray

    @property
    def tail(self) -> float:
        r"""The predictive p-value :math:`P(T(x^{rep}) \ge T(x) \mid x)`; ties count half."""
        above = (self.replicated > self.measured).mean()
        return float(above + 0.5 * (self.replicated == self.measured).mean())
