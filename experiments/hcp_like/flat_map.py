"""Triangles between points of a plane."""

from __future__ import annotations

import numpy as np
from matplotlib.tri import Triangulation
from numpy.typing import NDArray

from experiments.hcp_like.surface import LEFT, RIGHT

LONGEST = 3.0  # times the median: triangles beyond that lie across a bay or a cut, not on the map


def triangulated(flat: NDArray[np.floating], hemisphere: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Delaunay triangles of each hemisphere, without the long ones.

    Args:
        flat: Places on the flat map, `(vertex, 2)`.
        hemisphere: `(vertex,)`.

    Returns:
        `(face, 3)`.
    """
    parts = []
    for side in (LEFT, RIGHT):
        members = np.flatnonzero(hemisphere == side)
        faces = members[Triangulation(*flat[members].T.astype(np.float64)).triangles]
        length = longest_edge(flat, faces)
        parts.append(faces[length <= LONGEST * np.median(length)])
    return np.concatenate(parts).astype(np.int32)


def longest_edge(flat: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.floating]:
    """The length of each triangle's longest edge, `(face,)`."""
    corners = flat[faces]
    return np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
