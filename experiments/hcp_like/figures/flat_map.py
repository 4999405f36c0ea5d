"""Drawing labels on the flat map of a surface."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import SubFigure
from numpy.typing import NDArray

from experiments.hcp_like.surface import Surface

OUTLINE = "0.6"
STEPS = 64  # of the colours in the legend


def draw_labels(
    axes: Axes,
    surface: Surface,
    labels: NDArray[np.integer],
    *,
    confidence: NDArray[np.floating] | None = None,
) -> None:
    """Colour the flat map by network, paler where the label is less certain.

    The triangles become an image in vector formats too: there are a hundred thousand of them.

    Args:
        axes: Where to draw.
        surface: With the flat map.
        labels: The network of each vertex, `(vertex,)`.
        confidence: The probability of that label, `(vertex,)`; 1 if not given.
    """
    flat, faces = surface.flat, surface.faces
    certain = np.ones(len(flat)) if confidence is None else confidence
    one = (labels[faces] == labels[faces[:, :1]]).all(1)
    whole, mixed = faces[one], faces[~one]
    shapes: Any
    for shapes, chosen, strength in (
        (flat[whole], labels[whole[:, 0]], certain[whole].mean(1)),
        (_thirds(flat[mixed]), labels[mixed].ravel(), certain[mixed].ravel()),
    ):
        colors = faded(surface.colors[chosen], strength)
        axes.add_collection(
            PolyCollection(
                shapes, facecolors=colors, edgecolors="none", antialiased=False, rasterized=True
            )
        )
    axes.add_collection(LineCollection(flat[_rim(faces)], colors=OUTLINE, linewidths=0.4))
    margin = 0.005 * np.ptp(flat, axis=0).max()
    (left, low), (right, high) = flat[np.unique(faces)].min(0), flat[np.unique(faces)].max(0)
    axes.set_xlim(left - margin, right + margin)
    axes.set_ylim(low - margin, high + margin)
    axes.set_aspect("equal")
    axes.axis("off")


def draw_legend(place: SubFigure, surface: Surface) -> None:
    """The networks' names and colours, from uncertain to certain.

    Args:
        place: Where to draw, one line high.
        surface: With the networks.
    """
    networks = len(surface.names)
    lowest = 1 / networks
    levels = np.linspace(lowest, 1, STEPS)
    for axes, name, color in zip(
        np.atleast_1d(place.subplots(1, networks)), surface.names, surface.colors, strict=True
    ):
        strip = faded(np.tile(color, (STEPS, 1)), levels)
        axes.imshow(strip[None], extent=(lowest, 1, 0, 1), aspect="auto")
        axes.set_title(name, fontsize=8)
        axes.set_yticks([])
        axes.set_xticks([lowest, 1], [f"{lowest:.2f}", "1"], fontsize=7)
        axes.tick_params(length=2, pad=1, color=OUTLINE)
        axes.spines[:].set(color=OUTLINE, linewidth=0.4)
    place.supxlabel("probability of the label", fontsize=8)


def faded(colors: NDArray[np.floating], confidence: NDArray[np.floating]) -> NDArray[np.float64]:
    """Colours `(*rows, 3)` mixed with white by one minus the confidence `(*rows,)`."""
    return 1 - confidence[..., None] * (1 - np.asarray(colors, np.float64))


def _thirds(corners: NDArray[np.floating]) -> NDArray[np.floating]:
    """The part of a triangle that is nearest to each corner in turn, `(3 * face, 4, 2)`.

    Args:
        corners: Of the triangles, `(face, 3, 2)`.
    """
    after = (corners + np.roll(corners, -1, axis=1)) / 2
    before = np.roll(after, 1, axis=1)
    centre = np.broadcast_to(corners.mean(1, keepdims=True), corners.shape)
    return np.stack([corners, after, centre, before], axis=2).reshape(-1, 4, 2)


def _rim(faces: NDArray[np.integer]) -> NDArray[np.integer]:
    """The edges that only one triangle has, `(edge, 2)`."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    pairs, count = np.unique(edges, axis=0, return_counts=True)
    return pairs[count == 1]
