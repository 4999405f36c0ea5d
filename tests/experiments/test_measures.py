"""What is measured of Gaussian random effects beyond the ELBO: laws."""

from __future__ import annotations

import pytest
import torch
from laws.exact_gre import random_effects, settle

import pavi
from experiments.gap_course import course_steps
from experiments.gradient_variance import gradient_variance
from experiments.gre_gap import gre_gap


@pytest.fixture
def problem():
    _, data, guide, exact = random_effects(groups=6)
    return data, guide, exact


@pytest.mark.parametrize("groups", [2, 6])
def test_no_draw_of_the_posterior_has_a_gap(problem, groups):
    data, guide, exact = problem
    settle(guide, exact)
    assert gre_gap(guide, data, exact, groups=groups, draws=3) == pytest.approx(0.0, abs=1e-8)


def test_the_gap_of_all_groups_is_that_of_the_elbo(problem):
    data, guide, exact = problem
    elbo = pavi.Posterior(guide, data).elbo(draws=4000)
    gap = gre_gap(guide, data, exact, draws=4000)
    # Both are means over independent draws.
    assert gap == pytest.approx(exact.log_evidence - elbo.mean, abs=6 * elbo.standard_error)


def test_samples_of_groups_are_unbiased(problem):
    data, guide, exact = problem
    full = gre_gap(guide, data, exact, draws=2000)
    parts = torch.tensor(
        [gre_gap(guide, data, exact, groups=2, draws=50, seed=s) for s in range(200)]
    )
    assert float(parts.mean()) == pytest.approx(full, abs=4 * float(parts.std()) / 200**0.5)


def test_a_course_is_even_on_a_log_scale():
    assert course_steps(4, 10_000).tolist() == [10, 100, 1000, 10_000]
    assert course_steps(5, 4).tolist() == [4]


def test_at_the_posterior_only_the_rows_of_a_batch_vary(problem):
    data, guide, exact = problem
    objective = pavi.ReducedELBO(draws=2)
    start = gradient_variance(guide, data, objective, batch={"group": 2}, batches=8, seed=0)
    settle(guide, exact)
    part = gradient_variance(guide, data, objective, batch={"group": 2}, batches=8, seed=0)
    whole = gradient_variance(guide, data, objective, batch={}, batches=8, seed=0)
    assert whole < 1e-15
    assert whole < part < start
