"""How much noise leaves an oracle as right as it is to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from experiments.hcp_like.config import CohortConfig
from experiments.hcp_like.population import Population, population
from experiments.hcp_like.subject import draw

NOISE = (0.1, 10.0)  # where the answer is looked for
HALVINGS = 12  # of the logarithm of that interval: the answer is then within 0.1%


def calibrated_noise(
    config: CohortConfig, *, accuracy: float, seeds: Sequence[int], subjects: int
) -> Iterator[tuple[float, float]]:
    """Find the noise at which the oracle labels a share of the vertices right, by bisection.

    The same subjects are drawn with every noise, so that accuracy falls smoothly with it.

    Args:
        config: All else.
        accuracy: The mean share of vertices over seeds and subjects.
        seeds: Of the cohorts.
        subjects: How many of each.

    Yields:
        The noise that was tried, and the accuracy with it; the last noise is the answer.
    """
    cohorts = [population(replace(config, seed=seed)) for seed in seeds]
    low, high = np.log(NOISE)
    for _ in range(HALVINGS):
        noise = float(np.exp((low + high) / 2))
        found = float(np.mean([mean_accuracy(c, noise, subjects) for c in cohorts]))
        yield noise, found
        low, high = (np.log(noise), high) if found > accuracy else (low, np.log(noise))


def mean_accuracy(cohort: Population, noise: float, subjects: int) -> float:
    """The oracle's accuracy over the first subjects of a cohort, were its noise another one."""
    noisy = replace(cohort, config=replace(cohort.config, noise=noise))
    return float(np.mean([draw(noisy, subject).oracle_accuracy for subject in range(subjects)]))
