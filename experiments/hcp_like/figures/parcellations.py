"""Parcellations of the group and of subjects, the true one beside the fitted one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.hcp_like.figures.flat_map import draw_labels, draw_legend
from experiments.hcp_like.surface import Surface

WIDTH, ROW, LEGEND = 10.0, 2.1, 0.75  # in inches


def group_maps(
    surface: Surface, true: NDArray[np.floating], fitted: NDArray[np.floating]
) -> Figure:
    """The label probabilities of the group.

    Args:
        surface: What the vertices lie on; they are in its order.
        true: How frequent each network is, `(vertex, network)`.
        fitted: What the fit says of it, `(vertex, network)`.
    """
    same = np.mean(true.argmax(1) == fitted.argmax(1))
    maps = [(true.argmax(1), true.max(1)), (fitted.argmax(1), fitted.max(1))]
    return _beside(surface, [maps], names=["Group"], notes=[f"{same:.1%} agree"])


def subject_maps(
    surface: Surface,
    labels: NDArray[np.integer],
    fitted: NDArray[np.floating],
    *,
    names: Sequence[str],
) -> Figure:
    """The labels of some subjects.

    Args:
        surface: What the vertices lie on; they are in its order.
        labels: The true ones, `(subject, vertex)`.
        fitted: The probabilities that the fit gives, `(subject, vertex, network)`.
        names: What to call the subjects.

    Raises:
        ValueError: If there is not a name for each.
    """
    if not len(names) == len(labels) == len(fitted):
        raise ValueError(
            f"expected a name and the labels of each of {len(fitted)} subjects, got "
            f"{len(names)} names and the labels of {len(labels)}."
        )
    found = fitted.argmax(2)
    shares = (found == labels).mean(1)
    return _beside(
        surface,
        [
            [(true, None), (likely, certain)]
            for true, likely, certain in zip(labels, found, fitted.max(2), strict=True)
        ],
        names=names,
        notes=[f"{share:.1%} right" for share in shares],
    )


def _beside(
    surface: Surface,
    rows: Sequence[Sequence[tuple[NDArray[np.integer], NDArray[np.floating] | None]]],
    *,
    names: Sequence[str],
    notes: Sequence[str],
) -> Figure:
    """Maps in rows, true and fitted labels with how certain they are, above a legend."""
    maps = ROW * len(rows)
    figure = Figure(figsize=(WIDTH, maps + LEGEND), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[maps, LEGEND])
    grid = parts[0].subplots(len(rows), 2, squeeze=False)
    for row, drawn in enumerate(rows):
        for axes, (labels, confidence) in zip(grid[row], drawn, strict=True):
            draw_labels(axes, surface, labels, confidence=confidence)
        first, second = grid[row]
        _note(first, names[row], (0.0, 0.5), rotation=90, ha="right", va="center")
        # Between the hemispheres there is room on both surfaces.
        _note(second, notes[row], (0.5, 0.0), rotation=0, ha="center", va="bottom")
    for axes, title in zip(grid[0], ("True", "Fitted"), strict=True):
        axes.set_title(title, fontsize=10)
    draw_legend(parts[1], surface)
    return figure


def _note(
    axes: Axes, text: str, place: tuple[float, float], *, rotation: float, ha: str, va: str
) -> None:
    """A text at a place of a map, in fractions of it."""
    axes.text(*place, text, transform=axes.transAxes, fontsize=9, rotation=rotation, ha=ha, va=va)
