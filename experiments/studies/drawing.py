"""How the figures of the studies draw their lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.studies.reference import FLOOR

# Colours that are told apart without red and green; a method has the same one in every figure.
COLORS = {
    "PAVI-F": "#2c6fad",
    "PAVI-F MAF": "#5fb3d9",
    "PAVI-F splines": "#8fb8de",
    "PAVI-E": "#b8402a",
    "PAVI-E (sa)": "#b8402a",
    "mean field": "0.55",
    "per-instance affine": "#e09f3e",
    "per-instance MAF": "#7a5195",
    "ASVI": "#3a7d44",
    "cascading flows": "#9c6644",
    "ADAVI": "#111111",
    "UIVI": "#d45087",
    "branch": "#2a9d8f",
    "TLSF": "#6c757d",
}


def panels(number: int, *, width: float = 3.7, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side."""
    figure = Figure(figsize=(width * number, height), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(1, number)))
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=9)
    return figure, axes


def line(
    axes: Axes,
    x: Sequence[float],
    table: pd.DataFrame,
    *,
    method: str,
    marker: str | None = "o",
) -> None:
    """The median of a method with the range of its runs; what is below `FLOOR` is drawn there.

    Args:
        axes: Where to draw.
        x: The places.
        table: With `median`, `low` and `high`, a row per place.
        method: Gives the colour and the label.
        marker: Of the places; none if None.
    """
    color = COLORS[method]
    table = table[["median", "low", "high"]].clip(lower=FLOOR)
    shown = np.isfinite(table["median"].to_numpy(float))
    place = np.asarray(x, float)[shown]
    axes.plot(
        place, table["median"][shown], color=color, marker=marker, ms=4, lw=1.5, label=method
    )
    axes.fill_between(
        place, table["low"][shown], table["high"][shown], color=color, alpha=0.18, lw=0
    )
