"""A cortical surface of both hemispheres, with networks on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

LEFT, RIGHT = 0, 1


@final
@dataclass(frozen=True)
class Surface:
    """Vertices of both hemispheres, a flat map of them, and the networks of a group.

    Args:
        coordinates: Places in space, `(vertex, 3)`, in mm.
        hemisphere: 0 on the left, 1 on the right, `(vertex,)`.
        flat: Places on the flat map, `(vertex, 2)`, in mm, left hemisphere on the left.
        faces: The triangles of the flat map, `(face, 3)`; a vertex at a cut may have none.
        distances: From each vertex along the surface to the nearest vertex of each network,
            `(vertex, network)`, in mm; infinite where a hemisphere lacks the network.
        names: Of the networks.
        colors: Of the networks, `(network, 3)`, red, green and blue in 0..1.
        terms: What who uses the surface must know; empty if nothing.
    """

    coordinates: NDArray[np.float32]
    hemisphere: NDArray[np.uint8]
    flat: NDArray[np.float32]
    faces: NDArray[np.int32]
    distances: NDArray[np.float32]
    names: tuple[str, ...]
    colors: NDArray[np.float64]
    terms: str = ""

    @property
    def labels(self) -> NDArray[np.uint8]:
        """The nearest network of each vertex, its own where the group map names one."""
        return self.distances.argmin(1).astype(np.uint8)

    def __len__(self) -> int:
        """The number of vertices."""
        return len(self.coordinates)


def distances_along(
    coordinates: NDArray[np.floating],
    faces: NDArray[np.integer],
    labels: NDArray[np.integer],
    *,
    networks: int,
) -> NDArray[np.float32]:
    """The length of the shortest path along edges to the nearest vertex of each network.

    Args:
        coordinates: `(vertex, 3)`, in mm.
        faces: Triangles, `(face, 3)`.
        labels: The network of each vertex, `(vertex,)`; -1 where it has none.
        networks: Their number.

    Returns:
        `(vertex, network)`, in mm; infinite where no path leads.
    """
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    start, end = pairs.T
    lengths = np.linalg.norm(coordinates[start] - coordinates[end], axis=1)
    graph = coo_array((lengths, (start, end)), shape=(len(coordinates),) * 2).tocsr()
    columns = []
    for network in range(networks):
        members = np.flatnonzero(labels == network)
        columns.append(
            dijkstra(graph, directed=False, indices=members, min_only=True)
            if len(members)
            else np.full(len(coordinates), np.inf)
        )
    return np.stack(columns, axis=1).astype(np.float32)
