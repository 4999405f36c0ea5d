"""Posterior predictive checks: are replicated data like the data?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from pavi.posterior.report.replicates import Replicates, replicates
from pavi.posterior.report.statistic import Statistic

if TYPE_CHECKING:
    from pavi.posterior.posterior import Posterior

MOST_COUNTS = 40  # values that repeat have a bar each up to this many
BARS = 30


@final
@dataclass(frozen=True)
class Check:
    """How replicates of an observed site compare with its data.

    Args:
        site: The site.
        statistics: Mean, spread and ends, and the share of zeros of counts.
        edges: Of the bars, `(bars + 1,)`.
        measured: The share of the data in each bar, `(bars,)`.
        replicated: The same of each replicate, `(draws, bars)`.
    """

    site: str
    statistics: tuple[Statistic, ...]
    edges: np.ndarray
    measured: np.ndarray
    replicated: np.ndarray


def predictive_checks(posterior: Posterior, *, draws: int, seed: int) -> list[Check]:
    """Compare each observed site with replicated data sets.

    Args:
        posterior: With its data.
        draws: The number of replicates.
        seed: Of the draws.
    """
    data = posterior.data
    ranges = {
        site: _Range.of(
            data.whole(site),
            data.present.get(site),
            whole=posterior.model.supports[site].is_discrete,
        )
        for site in posterior.model.observed
    }
    measured: dict[str, _Sums] = {}
    replicated: dict[str, _Sums] = {}
    for part in replicates(posterior, draws=draws, seed=seed):
        for site in part.drawn:
            own, again = _rows(part, site)
            measured[site] = _Sums.of(own, ranges[site]) + measured.get(site)
            replicated[site] = _Sums.of(again, ranges[site]) + replicated.get(site)
    return [_check(site, ranges[site], measured[site], replicated[site]) for site in ranges]


@final
@dataclass(frozen=True)
class _Range:
    """Where the data of a site lie."""

    edges: Tensor
    center: float
    whole: bool

    @classmethod
    def of(cls, values: Tensor, present: Tensor | None, *, whole: bool) -> _Range:
        """The range of the values that are there.

        Args:
            values: Of the data, `(*plates, *event)`.
            present: Where they are not missing, `(*plates,)`.
            whole: Whether the model says that they are whole numbers.
        """
        found = (values if present is None else values[present]).double().flatten()
        distinct = found.unique()
        low, high = float(distinct[0]), float(distinct[-1])
        gap = 1.0 if whole else float(distinct.diff().min()) if len(distinct) > 1 else 0.0
        if gap > 0 and high - low < MOST_COUNTS * gap:
            # Each value in the middle of a bar, also those that a continuous model rounds to.
            bars = round((high - low) / gap) + 3
            edges = low - 1.5 * gap + gap * torch.arange(bars + 1, dtype=torch.float64)
        else:
            margin = 0.1 * (high - low) or 0.5
            edges = torch.linspace(low - margin, high + margin, BARS + 1, dtype=torch.float64)
        return cls(edges, float(found.mean()), whole)


@final
@dataclass(frozen=True)
class _Sums:
    """What adds up over parts of data sets; every entry has one row per data set."""

    count: int
    first: Tensor
    second: Tensor
    low: Tensor
    high: Tensor
    zeros: Tensor
    bars: Tensor

    @classmethod
    def of(cls, values: Tensor, about: _Range) -> _Sums:
        """The sums of values `(sets, numbers)`, moments about the mean of the data."""
        values = values.double().contiguous()
        moved = values - about.center
        # Numbers beyond the outermost edges are counted apart, and left out of the bars.
        place = torch.bucketize(values, about.edges, right=True)
        bars = torch.zeros(len(values), len(about.edges) + 1, dtype=torch.float64)
        bars.scatter_add_(1, place, torch.ones_like(values))
        return cls(
            count=values.shape[1],
            first=moved.sum(1),
            second=moved.square().sum(1),
            low=values.amin(1),
            high=values.amax(1),
            zeros=(values == 0).double().sum(1),
            bars=bars[:, 1:-1],
        )

    def __add__(self, other: _Sums | None) -> _Sums:
        if other is None:
            return self
        return _Sums(
            count=self.count + other.count,
            first=self.first + other.first,
            second=self.second + other.second,
            low=torch.minimum(self.low, other.low),
            high=torch.maximum(self.high, other.high),
            zeros=self.zeros + other.zeros,
            bars=self.bars + other.bars,
        )

    def statistics(self, about: _Range) -> Mapping[str, np.ndarray]:
        """By name, one number per data set."""
        shift = self.first / self.count
        variance = self.second / self.count - shift.square()
        found = {
            "mean": about.center + shift,
            "standard deviation": variance.clamp_min(0.0).sqrt(),
            "smallest value": self.low,
            "largest value": self.high,
        }
        if about.whole:
            found["share of zeros"] = self.zeros / self.count
        return {name: values.numpy() for name, values in found.items()}


def _rows(part: Replicates, site: str) -> tuple[Tensor, Tensor]:
    """The numbers of a site that are not missing: `(1, numbers)` and `(draws, numbers)`."""
    own, again = part.measured[site], part.drawn[site]
    if site in part.present:
        own, again = own[part.present[site]], again[:, part.present[site]]
    return own.reshape(1, -1).cpu(), again.reshape(len(again), -1).cpu()


def _check(site: str, about: _Range, measured: _Sums, replicated: _Sums) -> Check:
    one, many = measured.statistics(about), replicated.statistics(about)
    return Check(
        site=site,
        statistics=tuple(Statistic(name, float(one[name][0]), many[name]) for name in one),
        edges=about.edges.numpy(),
        measured=(measured.bars[0] / measured.count).numpy(),
        replicated=(replicated.bars / replicated.count).numpy(),
    )
