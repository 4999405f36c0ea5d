"""The evidence of the three-level Gaussian model, against dense algebra and a brute integral."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.chem97_evidence import log_evidence, log_likelihood
from experiments.problems.evidence import load_evidence

LEA = np.array([0, 1, 1])
SCHOOL = np.array([0, 0, 1, 1, 1, 2])


@pytest.fixture
def pupils():
    """Columns (1, gcse, score)."""
    rng = np.random.default_rng(0)
    return np.stack([np.ones(6), rng.normal(size=6), rng.normal(5.0, 2.0, size=6)], 1)


@pytest.fixture
def moments(pupils):
    return np.stack([pupils[SCHOOL == s].T @ pupils[SCHOOL == s] for s in range(3)])


def dense(pupils, scales):
    """The density of the scores from their covariance."""
    tau_lea, tau_school, sigma = scales
    lea = LEA[SCHOOL]
    covariance = 25.0 * pupils[:, :2] @ pupils[:, :2].T + sigma**2 * np.eye(6)
    covariance += tau_lea**2 * (lea[:, None] == lea)
    covariance += tau_school**2 * (SCHOOL[:, None] == SCHOOL)
    rest = pupils[:, 2] - 5.0
    square = rest @ np.linalg.solve(covariance, rest)
    return -0.5 * (6 * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + square)


@pytest.mark.parametrize("scales", [(0.3, 1.1, 2.0), (1.5, 0.2, 0.7)])
def test_the_likelihood_is_that_of_the_dense_covariance(pupils, moments, scales):
    assert log_likelihood(moments, LEA, scales) == pytest.approx(dense(pupils, scales), abs=1e-9)


def test_the_integral_is_the_mean_of_the_likelihood_over_the_prior(pupils, moments):
    rng = np.random.default_rng(1)
    scales = np.abs(rng.normal(size=(3000, 3))) * (1.0, 2.0, 5.0)
    likelihoods = np.exp([log_likelihood(moments, LEA, s) for s in scales])
    box = [(0.0, 6.0), (0.0, 12.0), (1e-3, 30.0)]
    found = np.exp(log_evidence(moments, LEA, box, (16, 16, 24)))
    # A mean over independent draws.
    error = likelihoods.std() / len(scales) ** 0.5
    assert found == pytest.approx(likelihoods.mean(), abs=4 * error)
    assert error < 0.05 * found


def test_the_stored_evidence_is_converged():
    found = load_evidence("chem97")
    assert found.value == pytest.approx(-70865.3055, abs=1e-3)
    assert found.standard_error == 0.0
