"""Pieces that the figures of the examples share."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, RED, GREY, INK = "#2c6fad", "#b8402a", "0.55", "0.15"


def panels(
    count: int, *, columns: int, x: str, y: str, sharing: bool = True
) -> tuple[Figure, Sequence[Axes]]:
    """A grid of small panels.

    Args:
        count: How many.
        columns: Per row.
        x: The label of the horizontal axes.
        y: That of the vertical ones.
        sharing: Whether all have the same axes.
    """
    rows = ceil(count / columns)
    figure = Figure(figsize=(1.6 * columns + 0.6, 1.5 * rows + 0.9), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=sharing, sharey=sharing, squeeze=False)
    for axis in grid.flat[count:]:
        axis.set_visible(False)
    for axis in grid.flat:
        plain(axis)
    figure.supxlabel(x, fontsize=9)
    figure.supylabel(y, fontsize=9)
    return figure, list(grid.flat[:count])


def intervals(
    axes: Axes, draws: np.ndarray, names: Sequence[str], *, title: str, label: str
) -> None:
    """Means with 90% intervals of a few quantities, one line each, from draws `(draws, names)`."""
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    place = np.arange(len(names))[::-1]
    axes.axvline(0, color=GREY, lw=0.6)
    axes.hlines(place, low, high, color=BLUE, lw=2)
    axes.scatter(draws.mean(0), place, color=INK, s=16, zorder=3)
    axes.set_yticks(place, names)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(label, fontsize=9)
    plain(axes)


def ordered(axes: Axes, draws: np.ndarray, *, title: str, x: str, y: str) -> None:
    """Many effects in ascending order with 90% intervals, from draws `(draws, groups)`."""
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    mean = draws.mean(0)
    order = np.argsort(mean)
    rank = np.arange(1, len(mean) + 1)
    axes.axhline(0, color=GREY, lw=0.6)
    # Thin enough that neighbours leave a gap, as far as pixels allow.
    width = min(0.8, 150 / len(mean))
    axes.vlines(rank, low[order], high[order], color=BLUE, lw=width, alpha=0.6)
    axes.plot([], [], color=BLUE, lw=3, alpha=0.6, label="90% interval")
    axes.plot(rank, mean[order], color=INK, lw=1.2, label="posterior mean")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    plain(axes)


def plain(axes: Axes) -> None:
    """Only the axes that carry numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
