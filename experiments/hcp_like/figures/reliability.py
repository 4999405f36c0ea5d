"""The reliability diagram."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from experiments.figures import BLUE, GREY, RED
from experiments.hcp_like.reliability import Reliability


def reliability_diagram(found: Reliability, *, networks: int) -> Figure:
    """Accuracy against confidence, above how often each confidence occurs.

    Args:
        found: The labels that were counted.
        networks: Their number; no confidence is below its inverse.
    """
    bins = len(found.count)
    edges = np.linspace(0, 1, bins + 1)
    held = found.count > 0
    confidence = found.confidence[held] / found.count[held]
    accuracy = found.correct[held] / found.count[held]
    figure = Figure(figsize=(4.2, 4.8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], color=GREY, lw=1, zorder=1)
    low, high = _interval(accuracy, found.count[held])
    above.vlines(confidence, low, high, color=BLUE, lw=1, zorder=2, label="95% interval")
    above.plot(confidence, accuracy, color=BLUE, marker="o", ms=4, lw=0, zorder=3)
    above.legend(frameon=False, fontsize=8, loc="upper left")
    above.set_ylabel("Share of labels that are right")
    above.set_ylim(0, 1.02)
    error = found.expected_calibration_error
    above.set_title(
        f"Expected calibration error {error:.4f}\n{found.count.sum():,} labels, "
        f"{found.accuracy:.1%} right",
        fontsize=10,
    )
    share = found.count / found.count.sum()
    below.bar(edges[:-1], share, width=1 / bins, align="edge", color=BLUE, ec="white", lw=0.5)
    below.axvline(found.confidence.sum() / found.count.sum(), color=RED, lw=1, label="mean")
    below.legend(frameon=False, fontsize=8, loc="upper left")
    below.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    below.set_ylabel("Labels")
    below.set_xlabel("Confidence: probability of the label")
    below.set_xlim(min(1 / networks, edges[held.argmax()]), 1.01)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
    return figure


def _interval(
    share: NDArray[np.floating], count: NDArray[np.integer]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Wilson's 95% interval of a share of so many, were these independent."""
    z = 1.96
    middle = share + z**2 / (2 * count)
    half = z * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    scale = 1 + z**2 / count
    return (middle - half) / scale, (middle + half) / scale
