"""Rank histograms, with matplotlib's object interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Binomial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAND = 0.99
BLUE, BAND_COLOR, INK = "#2c6fad", "0.9", "0.15"
WIDTH, HEIGHT, COLUMNS = 2.6, 2.0, 4  # inches, and panels beside one another


def rank_figure(counts: Mapping[str, Tensor]) -> Figure:
    """One panel per site: counts per bin, and the band that holds 99% of a uniform bin's.

    Args:
        counts: Per title, how many ranks fall into each bin, `(bins,)`.

    Raises:
        ImportError: Without matplotlib, which the extra `plot` brings.
    """
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(counts))
    rows = -(-len(counts) // columns)
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flatten()
    for axes, (title, found) in zip(grid, counts.items(), strict=False):
        bins, total = len(found), int(found.sum())
        low, high = band(total, 1 / bins)
        axes.axhspan(low, high, color=BAND_COLOR, lw=0, zorder=0)
        axes.axhline(total / bins, color=INK, lw=0.6, zorder=1)
        centres = (torch.arange(bins) + 0.5) / bins
        axes.bar(centres.numpy(), found.numpy(), width=0.9 / bins, color=BLUE, zorder=2)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(counts) :]:
        axes.set_visible(False)
    figure.supxlabel("Share of posterior draws below the true value", fontsize=9)
    figure.supylabel("Simulations", fontsize=9)
    return figure


def band(total: int, chance: float) -> tuple[int, int]:
    """The central counts that hold 99% of a binomial distribution, or a bit more."""
    numbers = torch.arange(total + 1, dtype=torch.float64)
    below = Binomial(total, numbers.new_tensor(chance)).log_prob(numbers).exp().cumsum(0)
    return int((below < (1 - BAND) / 2).sum()), int((below < (1 + BAND) / 2).sum())
