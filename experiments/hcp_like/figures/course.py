"""The ELBO in the course of a fit."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.figures import BLUE, GREY

WINDOWS = 100  # of the running median, over the whole fit
START = 0.1  # the part of the fit that may leave the picture, it climbs too far


def elbo_against_time(
    seconds: NDArray[np.floating], elbo: NDArray[np.floating], *, values: int
) -> Figure:
    """The ELBO of the steps and its running median, against wall time.

    Args:
        seconds: When each step ended, since the start, `(step,)`.
        elbo: Its estimate of the ELBO of all data, in nats, `(step,)`.
        values: The number of observed values, which the ELBO is divided by.
    """
    minutes, each = np.asarray(seconds) / 60, np.asarray(elbo) / values
    window = max(1, len(each) // WINDOWS)
    whole = len(each) // window * window
    middle = np.median(each[:whole].reshape(-1, window), axis=1)
    when = minutes[:whole].reshape(-1, window).mean(1)
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(minutes, each, color=GREY, lw=0.4, label="a step", zorder=1)
    axes.plot(when, middle, color=BLUE, lw=1.6, label=f"median of {window:,} steps", zorder=2)
    shown = each[int(START * len(each)) :]
    low, high = np.quantile(shown, [0.005, 0.995])
    margin = 0.08 * (high - low) + 1e-12
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlim(0, minutes[-1])
    axes.set_xlabel(f"Wall time in minutes ({len(each):,} steps)")
    axes.set_ylabel("ELBO per observed value (nats)")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    return figure
