"""Which surface a cohort lies on."""

from __future__ import annotations

from enum import StrEnum

from experiments.hcp_like.cortex import cortex
from experiments.hcp_like.sphere import sphere
from experiments.hcp_like.surface import Surface


class SurfaceChoice(StrEnum):
    """The surfaces there are."""

    HCP = "hcp"
    SPHERE = "sphere"


def surface(choice: SurfaceChoice, vertices: int) -> Surface:
    """The surface of a cohort.

    Args:
        choice: The human cortex, which needs the extra `hcp`, or a synthetic sphere.
        vertices: How many.

    Raises:
        ValueError: If the surface cannot be had, or not with as many vertices.
    """
    if choice is SurfaceChoice.HCP:
        return cortex(vertices)
    return sphere(vertices)
