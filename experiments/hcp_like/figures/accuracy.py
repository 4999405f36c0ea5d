"""How many vertices of each subject are labelled right."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from experiments.figures import BLUE, GREY, RED


def accuracy_per_subject(
    fitted: NDArray[np.floating],
    oracle: NDArray[np.floating],
    *,
    group: NDArray[np.floating],
) -> Figure:
    """The share of vertices that are labelled right, subjects in the order of the oracle's.

    Args:
        fitted: By the fit, `(subject,)`.
        oracle: By who knows every parameter, `(subject,)`.
        group: By giving every subject the group's map, `(subject,)`.
    """
    order = np.argsort(oracle, kind="stable")
    rank = np.arange(1, len(order) + 1)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    size = float(np.clip(2000 / len(rank), 3, 16))
    handles = []
    for shares, color, name in (
        (oracle, BLUE, "oracle, who knows every parameter"),
        (fitted, RED, "fitted"),
        (group, GREY, "the group's map"),
    ):
        label = f"{name}: {shares.mean():.1%} on average"
        axes.scatter(rank, shares[order], s=size, color=color, lw=0)
        handles.append(Line2D([], [], color=color, marker="o", ms=4, lw=0, label=label))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlim(0, len(rank) + 1)
    axes.set_xlabel(f"{len(rank):,} subjects, in the order of the oracle's accuracy")
    axes.set_ylabel("Vertices labelled right")
    figure.legend(handles=handles, loc="outside upper left", frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    return figure
