"""The labels as well as they can be known by who knows all else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

ROWS = 8192  # that are worked on at a time: they stay in the processor's cache


def oracle(
    x: NDArray[np.floating],
    centroids: NDArray[np.float32],
    *,
    noise: float,
    probabilities: NDArray[np.float32],
) -> NDArray[np.float32]:
    r"""The probabilities of a subject's labels given all parameters.

    .. math:: p(z_n = l \mid x) \propto p_{nl} \prod_t N(x_{tn}; \mu_{tl}, \kappa^2 I)

    Each vertex is seen alone: that neighbours are alike is not used.

    Args:
        x: The fingerprints of a subject, `(session, vertex, dim)`.
        centroids: Its centroids, `(session, network, dim)`.
        noise: The standard deviation :math:`\kappa`.
        probabilities: The frequencies of the labels, `(vertex, network)`.

    Returns:
        `(vertex, network)`.
    """
    found = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    for session, center in zip(x, centroids, strict=True):
        offset = 0.5 * np.square(center).sum(1)
        for rows in blocks(len(found)):
            score = session[rows].astype(np.float32) @ center.T - offset
            found[rows] += score / noise**2
    found -= found.max(1, keepdims=True)
    np.exp(found, out=found)
    found /= found.sum(1, keepdims=True)
    return found


def blocks(rows: int) -> Iterator[slice]:
    """Parts of so many rows."""
    for start in range(0, rows, ROWS):
        yield slice(start, min(start + ROWS, rows))
