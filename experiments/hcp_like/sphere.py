"""A synthetic surface: two halves of a sphere with patches as networks."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from experiments.hcp_like.flat_map import triangulated
from experiments.hcp_like.surface import LEFT, RIGHT, Surface, distances_along

FINE = 59_412  # vertices of the surface that distances are measured on
RADIUS = 110.0  # in mm: each half has about the area of a hemisphere of the cortex
GAP = 30.0  # between the flat hemispheres, in mm
PATCHES = 10  # of each network, in each hemisphere
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
NAMES = ("A", "B", "C", "D", "E", "F", "G")
COLORS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#e15759", "#76b7b2", "#edc948")


def sphere(vertices: int) -> Surface:
    r"""Half a sphere on each side, mirror images, each with the same patches.

    Vertices lie on a spiral, all with the same area around them. The flat map is Lambert's, the
    azimuthal projection that keeps areas: an angle :math:`\theta` from the outermost point lies
    at the distance :math:`2 R \sin(\theta / 2)` from the centre of a disc.

    Args:
        vertices: How many on both sides.

    Raises:
        ValueError: If they are too few to show the patches.
    """
    if vertices < 100:
        raise ValueError(f"surface 'sphere' needs 100 vertices or more, got {vertices}.")
    coordinates, hemisphere = _points(vertices)
    flat = _lambert(coordinates, hemisphere)
    fine, distances = _fine()
    nearest = np.arange(FINE) if vertices == FINE else fine.query(coordinates)[1]
    return Surface(
        coordinates=coordinates.astype(np.float32),
        hemisphere=hemisphere,
        flat=flat.astype(np.float32),
        faces=triangulated(flat, hemisphere),
        distances=distances[nearest],
        names=NAMES,
        colors=np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLORS]),
    )


@cache
def _fine() -> tuple[KDTree, NDArray[np.float32]]:
    """The points of a fine surface, and their distances from the networks.

    Were they measured on a coarse surface, its edges would be part of them, and a network would
    reach less far.
    """
    coordinates, hemisphere = _points(FINE)
    seeds, side = _points(2 * PATCHES * len(NAMES))
    chosen = np.random.default_rng(7).permutation(np.arange(len(seeds) // 2) % len(NAMES))
    network = np.tile(chosen, 2)
    labels = np.empty(FINE, np.int64)
    for this in (LEFT, RIGHT):
        tree = KDTree(seeds[side == this])
        labels[hemisphere == this] = network[side == this][
            tree.query(coordinates[hemisphere == this])[1]
        ]
    faces = triangulated(_lambert(coordinates, hemisphere), hemisphere)
    distances = distances_along(coordinates, faces, labels, networks=len(NAMES))
    return KDTree(coordinates), distances


def _points(vertices: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Places of so many vertices in mm, `(vertex, 3)`, and their hemispheres, `(vertex,)`."""
    left, right = _half(vertices // 2), _half(vertices - vertices // 2)
    places = np.concatenate([left * [-1, 1, 1], right])
    return RADIUS * places, np.repeat(np.array([LEFT, RIGHT], np.uint8), [len(left), len(right)])


def _lambert(
    coordinates: NDArray[np.float64], hemisphere: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Places on the flat map, the hemispheres side by side, `(vertex, 2)`, in mm."""
    flat = np.sqrt(2 / (1 + np.abs(coordinates[:, :1]) / RADIUS)) * coordinates[:, 1:]
    outward = np.where(hemisphere == RIGHT, 1.0, -1.0)
    flat[:, 0] = outward * (flat[:, 0] + np.sqrt(2) * RADIUS + GAP / 2)
    return flat


def _half(vertices: int) -> NDArray[np.float64]:
    """Points of the half of the unit sphere with positive first coordinate, `(vertex, 3)`."""
    rank = np.arange(vertices)
    x = 1 - (rank + 0.5) / vertices
    angle = GOLDEN_ANGLE * rank
    around = np.sqrt(1 - x**2)
    return np.stack([x, around * np.cos(angle), around * np.sin(angle)], axis=1)
