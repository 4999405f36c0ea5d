"""One subject of a cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from experiments.hcp_like.oracle import blocks, oracle
from experiments.hcp_like.population import Population


@final
@dataclass(frozen=True)
class Subject:
    """What is observed of a subject, and the truth.

    Args:
        x: The fingerprints, `(session, vertex, dim)`, float16.
        labels: The network of each vertex, the same in all sessions, `(vertex,)`.
        mu_s: Its centroids, `(network, dim)`.
        mu_st: Those of its sessions, `(session, network, dim)`.
        oracle_accuracy: The share of vertices that who knows all parameters labels right.
        map_accuracy: The share that have the most frequent label of the population.
    """

    x: NDArray[np.float16]
    labels: NDArray[np.uint8]
    mu_s: NDArray[np.float32]
    mu_st: NDArray[np.float32]
    oracle_accuracy: float
    map_accuracy: float


@final
@dataclass(frozen=True)
class Parameters:
    """What a subject is drawn with.

    Args:
        weights: Of the features in its fields, `(feature, network)`.
        mu_s: Its centroids, `(network, dim)`.
        mu_st: Those of its sessions, `(session, network, dim)`.
    """

    weights: NDArray[np.float32]
    mu_s: NDArray[np.float32]
    mu_st: NDArray[np.float32]


def draw(population: Population, subject: int) -> Subject:
    r"""Draw a subject, which depends on the config and on its number alone.

    .. math::
        z_{sn} &= \arg\max_l\, \eta_{nl} + f_{sl}(n), \quad
            \mu_{sl} \sim N(\mu_l, \epsilon_l^2 I), \quad
            \mu_{stl} \sim N(\mu_{sl}, \sigma_l^2 I) \\
        x_{stn} &\sim N(\mu_{st z_{sn}}, \kappa^2 I)

    with smooth random fields :math:`f_{sl}`, of standard deviation one.

    Args:
        population: What the subjects have in common.
        subject: Its number.
    """
    config = population.config
    random = stream(config.seed, subject)
    own = draw_parameters(population, random)
    labels = label_field(population, own.weights)
    x = np.empty((config.sessions, len(labels), config.dim), np.float16)
    for session, center in zip(x, own.mu_st, strict=True):
        for rows in blocks(len(labels)):
            values = random.standard_normal(session[rows].shape, dtype=np.float32)
            values *= config.noise
            values += center[labels[rows]]
            session[rows] = values
    common = population.probabilities
    seen = oracle(x, own.mu_st, noise=config.noise, probabilities=common)
    return Subject(
        x=x,
        labels=labels,
        mu_s=own.mu_s,
        mu_st=own.mu_st,
        oracle_accuracy=float(np.mean(seen.argmax(1) == labels)),
        map_accuracy=float(np.mean(common.argmax(1) == labels)),
    )


def stream(seed: int, subject: int) -> np.random.Generator:
    """The random numbers of a subject."""
    return np.random.default_rng([seed, subject])


def draw_parameters(population: Population, random: np.random.Generator) -> Parameters:
    """Draw what a subject is drawn with, from the first numbers of its stream."""
    config, mu = population.config, population.mu
    networks, sessions = len(mu), config.sessions
    weights = random.standard_normal((2 * config.frequencies, networks), dtype=np.float32)
    subject = random.standard_normal(mu.shape, dtype=np.float32)
    session = random.standard_normal((sessions, *mu.shape), dtype=np.float32)
    mu_s = mu + population.eps[:, None] * subject
    return Parameters(weights=weights, mu_s=mu_s, mu_st=mu_s + population.sigma[:, None] * session)


def label_field(population: Population, weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The networks of a subject's vertices, `(vertex,)`."""
    return (population.logits + population.features @ weights).argmax(1).astype(np.uint8)
