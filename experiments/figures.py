"""The figures of the demo, with matplotlib's object interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

BLUE, RED, GREY, INK = "#2c6fad", "#b8402a", "0.72", "0.2"
DPI = 200


def elbo_curve(history: Mapping[str, Sequence[float]], *, final: float) -> Figure:
    """The course of a fit: how far the ELBO lies below its final value, on a log scale.

    Args:
        history: The lists `steps`, `seconds` and `elbo`, in nats.
        final: The ELBO of the fitted guide on all data.
    """
    steps, elbo = np.asarray(history["steps"]), np.asarray(history["elbo"])
    below = final - elbo
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, np.abs(below), color=GREY, lw=0.8, zorder=1)
    for sign, color, label in ((below >= 0, BLUE, "below"), (below < 0, RED, "above")):
        if sign.any():
            axes.scatter(steps[sign], np.abs(below[sign]), s=9, color=color, label=label, zorder=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
    axes.set_xlim(0, steps[-1] * 1.02)
    axes.set_xlabel("Step")
    axes.set_ylabel("|ELBO of the step \N{MINUS SIGN} final ELBO| (nats)")
    axes.legend(title=f"final ELBO, {_number(final, 1)} nats", frameon=False)
    above = axes.secondary_xaxis("top", functions=_seconds(steps, history["seconds"]))
    above.set_xlabel("Time (s)")
    _plain(axes)
    axes.spines["top"].set_visible(True)
    return figure


def caterpillar(
    mean: np.ndarray, low: np.ndarray, high: np.ndarray, *, group: str, unit: str
) -> Figure:
    """Group effects in ascending order, with intervals; those that exclude zero in colour.

    Args:
        mean: Posterior means, one per group.
        low: The 5% quantiles.
        high: The 95% quantiles.
        group: What a group is called, in the plural.
        unit: Of the effect.
    """
    order = np.argsort(mean)
    mean, low, high = mean[order], low[order], high[order]
    rank = np.arange(1, len(mean) + 1)
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(0, color=INK, lw=0.8, zorder=1)
    choices = (
        ((low <= 0) & (high >= 0), GREY, "interval contains zero"),
        (low > 0, BLUE, "above zero"),
        (high < 0, RED, "below zero"),
    )
    for chosen, color, label in choices:
        ends = np.stack([rank.repeat(2), np.stack([low, high], 1).ravel()], 1).reshape(-1, 2, 2)
        count = f"{label} ({chosen.sum():,})"
        lines = LineCollection(list(ends[chosen]), colors=color, linewidths=0.5, label=count)
        axes.add_collection(lines)
    axes.plot(rank, mean, color=INK, lw=1.4, label="posterior mean")
    axes.set_xlim(-0.01 * len(mean), 1.01 * len(mean))
    margin = 0.04 * (high.max() - low.min())
    axes.set_ylim(low.min() - margin, high.max() + margin)
    axes.set_xlabel(f"{len(mean):,} {group}, by posterior mean")
    axes.set_ylabel(f"Effect and 90% interval ({unit})")
    legend = axes.legend(loc="upper left", frameon=False)
    for handle in legend.get_lines() + legend.get_patches():
        handle.set_linewidth(2.0)
    for handle in legend.legend_handles:
        if isinstance(handle, LineCollection):
            handle.set_linewidth(2.0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _plain(axes)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending gives the format."""
    figure.savefig(path, dpi=DPI)
