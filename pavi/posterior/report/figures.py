"""The figures of a report; their texts are legible on a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pavi.posterior.report.numbers import MINUS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pavi.posterior.report.predictive import Check

BLUE, ORANGE, GREY, INK = "#1f5a96", "#c2571a", "0.8", "0.2"
SIZE = 10.0  # of texts, in points
WIDTH, HEIGHT = 5.2, 3.1  # inches
MOST_INTERVALS = 1500  # more would not be told apart


def course_figure(history: Mapping[str, Sequence[float | int]], *, final: float | None) -> Figure:
    """The ELBO of single steps, and that on all data at the end.

    The axis leaves out the first steps, which start far below.

    Args:
        history: The lists `steps` and `elbo`, in nats.
        final: The ELBO of the fitted guide on all data, if known.
    """
    figure, axes = _canvas()
    steps, elbo = np.asarray(history["steps"]), np.asarray(history["elbo"])
    axes.plot(steps, elbo, color=BLUE, lw=0.9, label="of a step")
    later = elbo[len(elbo) // 4 :]
    shown = later if final is None else np.append(later, final)
    low, high = float(np.quantile(shown, 0.02)), float(shown.max())
    margin = 0.15 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
    if final is not None:
        axes.axhline(final, color=ORANGE, lw=1.2, label="on all data, at the end")
    axes.set_xlabel("step")
    axes.set_ylabel("ELBO (nats)")
    axes.legend(frameon=False, fontsize=SIZE, loc="lower right")
    _numbers(axes)
    return figure


def caterpillar_figure(
    mean: np.ndarray, low: np.ndarray, high: np.ndarray, *, groups: str, quantity: str
) -> Figure:
    """Estimates in ascending order, with their intervals.

    Args:
        mean: Posterior means, one per group.
        low: The lower ends of the intervals.
        high: The upper ends.
        groups: What the horizontal axis counts.
        quantity: What is estimated.
    """
    order = np.argsort(mean, kind="stable")
    if len(order) > MOST_INTERVALS:
        order = order[np.linspace(0, len(order) - 1, MOST_INTERVALS).round().astype(int)]
    rank = np.linspace(1, len(mean), len(order))
    figure, axes = _canvas()
    few = len(order) <= 60
    axes.vlines(rank, low[order], high[order], color=BLUE, lw=1.6 if few else 0.5, alpha=0.55)
    axes.plot(rank, mean[order], "o" if few else "-", color=INK, ms=3.0, lw=1.2)
    if low.min() < 0 < high.max():
        axes.axhline(0, color=INK, lw=0.6)
    axes.set_xlabel(groups)
    axes.set_ylabel(quantity)
    _numbers(axes)
    return figure


def check_figure(check: Check) -> Figure:
    """Bars of the data, and where 90% of the replicates' bars lie.

    Args:
        check: Of one observed site.
    """
    figure, axes = _canvas()
    edges = check.edges
    low, middle, high = np.quantile(check.replicated, (0.05, 0.5, 0.95), axis=0)
    axes.stairs(check.measured, edges, fill=True, color=GREY, label="data")
    axes.stairs(high, edges, baseline=low, fill=True, color=BLUE, alpha=0.35, label="replicates")
    axes.stairs(middle, edges, color=BLUE, lw=1.2, baseline=None)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel(check.site)
    axes.set_ylabel("share")
    axes.legend(frameon=False, fontsize=SIZE)
    _numbers(axes)
    return figure


def _canvas() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SIZE)
    return figure, axes


def _numbers(axes: Axes) -> None:
    """Ticks with separators and proper minus signs, and labels of one size."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
        axis.label.set_fontsize(SIZE)


def _tick(value: float) -> str:
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
    return text.replace("-", MINUS)
