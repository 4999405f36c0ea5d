"""The ELBO in the course of a fit."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.figures import BLUE


def elbo_against_time(
    seconds: NDArray[np.floating],
    elbo: NDArray[np.floating],
    *,
    steps: NDArray[np.integer],
    start: float,
) -> Figure:
    """What a fit gains over its start, on a fixed plate-batch, against wall time.

    Args:
        seconds: Of training, `(point,)`.
        elbo: The estimate of the ELBO of all data from the batch, in nats, `(point,)`.
        steps: How many were done, `(point,)`.
        start: The seconds before the first step.
    """
    minutes = (np.asarray(seconds) + start) / 60
    gained = np.asarray(elbo) - elbo[0]
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(0, minutes[0], color="0.93", lw=0)
    axes.text(
        minutes[0] / 2,
        0.5,
        "k-means and EM",
        rotation=90,
        ha="center",
        va="center",
        fontsize=8,
        color="0.4",
        transform=axes.get_xaxis_transform(),
    )
    axes.plot(minutes, gained, color=BLUE, lw=1.4, marker="o", ms=3)
    axes.set_xlim(0, 1.02 * minutes[-1])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel(f"Wall time in minutes ({steps[-1]:,} steps from the shaded start)")
    axes.set_ylabel("ELBO gained over the start (nats)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    return figure
