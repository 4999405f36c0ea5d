"""What the subjects of a cohort have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from experiments.hcp_like.config import CohortConfig
from experiments.hcp_like.geometry import surface
from experiments.hcp_like.surface import Surface

PARAMETERS, FREQUENCIES, ORDER = range(3)  # streams of random numbers beside the subjects'
NODES = 48  # of the quadrature: 96 change no probability by more than 1e-9


@final
@dataclass(frozen=True)
class Population:
    """The parameters of a cohort; vertices are in the order of its files.

    Args:
        config: What all of this is a function of.
        surface: What the vertices lie on, in its own order.
        order: The vertex of the surface that each row of the files is of, `(vertex,)`.
        mu: The centroids of the networks, `(network, dim)`.
        eps: The standard deviations of subjects' centroids, `(network,)`.
        sigma: The standard deviations of sessions' centroids, `(network,)`.
        logits: Of the networks, before a subject's field is added, `(vertex, network)`.
        features: Of which subjects' fields are random combinations, `(vertex, feature)`; the
            squares of a vertex' features sum to one.
        probabilities: How frequent each network is at a vertex, `(vertex, network)`.
    """

    config: CohortConfig
    surface: Surface
    order: NDArray[np.int64]
    mu: NDArray[np.float32]
    eps: NDArray[np.float32]
    sigma: NDArray[np.float32]
    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    @property
    def networks(self) -> int:
        """Their number."""
        return len(self.mu)


def population(config: CohortConfig) -> Population:
    r"""Draw what the subjects have in common.

    The logit of a network falls with the distance from it, :math:`c\, e^{-d_{nl} / h}`. Fields
    have the covariance of a Gaussian kernel as far as its random frequencies go,
    :math:`\omega_m \sim N(0, I / s^2)`: features are their cosines and sines.

    Raises:
        ValueError: If the surface cannot be had.

    Reference:
        Rahimi and Recht (2007), Random features for large-scale kernel machines.
    """
    place = surface(config.surface, config.vertices)
    order = _stream(config, ORDER).permutation(len(place))
    parameters = _stream(config, PARAMETERS)
    networks = len(place.names)
    mu = config.between * parameters.standard_normal((networks, config.dim))
    eps = config.subject_sd * np.exp(config.spread * parameters.standard_normal(networks))
    sigma = config.session_sd * np.exp(config.spread * parameters.standard_normal(networks))
    frequencies = _stream(config, FREQUENCIES).standard_normal((3, config.frequencies))
    phase = place.coordinates[order] @ (frequencies / config.smoothness)
    features = np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
    logits = config.contrast * np.exp(-place.distances[order] / config.reach)
    return Population(
        config=config,
        surface=place,
        order=order,
        mu=mu.astype(np.float32),
        eps=eps.astype(np.float32),
        sigma=sigma.astype(np.float32),
        logits=logits,
        features=(features / np.sqrt(config.frequencies)).astype(np.float32),
        probabilities=most_likely(logits),
    )


def most_likely(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    r"""How often each of several numbers is the largest when independent noise is added to all.

    .. math:: p_l = \int \phi(u) \prod_{k \ne l} \Phi(u + \eta_l - \eta_k)\, du,

    by Gauss-Hermite quadrature. A subject's fields are independent between networks and standard
    normal at every vertex, so that this is the frequency of a label among subjects.

    Args:
        logits: The numbers :math:`\eta`, `(row, number)`.

    Returns:
        `(row, number)`, float32.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    found = np.empty(logits.shape)
    for start in range(0, len(logits), 4096):
        part = logits[start : start + 4096].astype(np.float64)
        for network in range(part.shape[1]):
            ahead = part[:, [network]] - np.delete(part, network, axis=1)
            below = ndtr(ahead[:, :, None] + nodes).prod(1)
            found[start : start + 4096, network] = below @ weights
    return (found / found.sum(1, keepdims=True)).astype(np.float32)


def _stream(config: CohortConfig, name: int) -> np.random.Generator:
    """Random numbers that depend on the seed and on what they are for."""
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(name,)))
