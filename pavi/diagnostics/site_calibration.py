"""What the ranks of one template site say of its calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class SiteCalibration:
    """Calibration of one template site.

    Args:
        ranks: Of one random entry per simulation, `(simulations,)`.
        counts: How many of these fall into each bin, `(bins,)`.
        p_value: Of the chi-square test that the bins are equally likely.
        coverage: Per level, how often the central interval holds the true value.
        standard_error: Per level, of the coverage.
    """

    ranks: Tensor
    counts: Tensor
    p_value: float
    coverage: Mapping[float, float]
    standard_error: Mapping[float, float]

    def z(self, level: float) -> float:
        """How many standard errors the coverage lies from its level."""
        return (self.coverage[level] - level) / self.standard_error[level]


def site_calibration(
    ranks: Sequence[Tensor], chosen: Tensor, *, draws: int, bins: int, levels: Sequence[float]
) -> SiteCalibration:
    """What the ranks of a site say.

    Args:
        ranks: Per simulation, of all entries, from 0 to `draws`.
        chosen: One of these per simulation, `(simulations,)`.
        draws: Posterior draws of each simulation.
        bins: Of the rank histogram.
        levels: Of the central intervals.
    """
    simulations = len(ranks)
    counts = torch.bincount(chosen * bins // (draws + 1), minlength=bins)
    expected = simulations / bins
    statistic = (counts - expected).double().square().sum() / expected
    half = statistic.new_tensor((bins - 1) / 2)
    coverage, errors = {}, {}
    for level in levels:
        low = (1 - level) / 2 * (draws + 1)
        held = torch.stack(
            [((r > low - 0.5) & (r < draws + 0.5 - low)).double().mean() for r in ranks]
        )
        coverage[level] = float(held.mean())
        # All or none may be held, which says less than that there is no error.
        least = (level * (1 - level) / simulations) ** 0.5 if len(set(held.tolist())) < 2 else 0.0
        errors[level] = max(float(held.std() / simulations**0.5), least)
    return SiteCalibration(
        ranks=chosen,
        counts=counts,
        p_value=float(torch.special.gammaincc(half, statistic / 2)),
        coverage=coverage,
        standard_error=errors,
    )
