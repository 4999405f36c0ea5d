"""The marginals of the globals: a fit beside draws by NUTS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from examples.figures import BLUE, panels

BINS = 40


def marginals(drawn: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> Figure:
    """Per number that all data share, a histogram of NUTS and a line of the fit.

    Args:
        drawn: Of the fit, per site `(draws, *event)`.
        reference: By NUTS, the same sites.
    """
    theirs = dict(_numbers(reference))
    ours = dict(_numbers({name: drawn[name] for name in reference}))
    moving = [label for label, numbers in theirs.items() if np.ptp(numbers) > 0]
    columns = min(5, len(moving))
    figure, axes = panels(
        len(moving), columns=columns, x="Value of the global", y="Density", sharing=False
    )
    for axis, label in zip(axes, moving, strict=True):
        # What few draws reach would squeeze the rest.
        low, high = np.quantile(theirs[label], [0.002, 0.998])
        edges = np.linspace(low, high, BINS + 1)
        heights = _heights(theirs[label], edges)
        axis.stairs(heights, edges, fill=True, color="0.8", label="NUTS")
        axis.stairs(_heights(ours[label], edges), edges, color=BLUE, lw=1.2, label="PAVI")
        axis.set_title(label, fontsize=8)
        axis.set_yticks([])
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False
    )
    return figure


def _heights(numbers: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The density over bins, of all numbers, those beyond the edges included."""
    counts, _ = np.histogram(numbers, edges)
    heights: np.ndarray = counts / len(numbers) / np.diff(edges)
    return heights


def _numbers(draws: Mapping[str, Tensor]) -> Iterator[tuple[str, np.ndarray]]:
    """Every entry of every site with its name, such as `beta[0]`."""
    for name, value in draws.items():
        columns = value.reshape(len(value), -1).T
        for index, column in zip(product(*map(range, value.shape[1:])), columns, strict=True):
            label = f"{name}[{', '.join(map(str, index))}]" if index else name
            yield label, column.numpy()
