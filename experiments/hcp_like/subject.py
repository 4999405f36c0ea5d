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
class SubjectTruth:
    """The parameters of a subject.

    Args:
        labels: `(vertex,)`.
        mu_s: `(network, dim)`.
        mu_st: `(session, network, dim)`.
    """

    labels: NDArray[np.uint8]
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
    random = np.random.default_rng([config.seed, subject])
    truth = draw_truth(population, random)
    x = np.empty((config.sessions, len(truth.labels), config.dim), np.float16)
    for session, center in zip(x, truth.mu_st, strict=True):
        for rows in blocks(len(truth.labels)):
            noise = random.standard_normal(session[rows].shape, dtype=np.float32)
            noise *= config.noise
            noise += center[truth.labels[rows]]
            session[rows] = noise
    seen = oracle(
        x, truth.mu_st, noise=config.noise, probabilities=population.probabilities
    )
    common = population.probabilities.argmax(1)
    return Subject(
        x=x,
        labels=truth.labels,
        mu_s=truth.mu_s,
        mu_st=truth.mu_st,
        oracle_accuracy=float(np.mean(seen.argmax(1) == truth.labels)),
        map_accuracy=float(np.mean(common == truth.labels)),
    )


def draw_truth(population: Population, random: np.random.Generator) -> SubjectTruth:
    """Draw the parameters of a subject, with the first numbers of its stream."""
    config, mu = population.config, population.mu
    weights = random.standard_normal((2 * config.frequencies, len(mu)), dtype=np.float32)
    labels = (population.logits + population.features @ weights).argmax(1)
    shape = (config.sessions, *mu.shape)
    mu_s = mu + population.eps[:, None] * random.standard_normal(mu.shape, dtype=np.float32)
    mu_st = mu_s + population.sigma[:, None] * random.standard_normal(shape, dtype=np.float32)
    return SubjectTruth(labels=labels.astype(np.uint8), mu_s=mu_s, mu_st=mu_st)
