"""What is measured of Gaussian random effects beyond the ELBO: laws."""

from __future__ import annotations

import math

import pytest
import torch

import pavi
from experiments.gap_course import course_steps
from experiments.gradient_variance import gradient_variance
from experiments.gre_gap import gre_gap
from pavi.models import gaussian_random_effects, gre_posterior

SCALES = (0.7, 0.5, 0.3)


@pytest.fixture
def problem():
    model = gaussian_random_effects(dim=2, scales=SCALES)
    simulation = model.simulate({"group": 6, "obs": 3}, seed=0, dtype=torch.float64)
    data = pavi.PlateData.from_arrays(simulation.arrays, model, dtype=torch.float64)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities).double()
    return data, guide


def settle(data, guide):
    """Put the guide at the exact posterior."""
    exact = gre_posterior(data.values["x"], scales=SCALES)
    s_mu, s_g, _ = SCALES

    def bounded(x):
        return 30 * math.atanh(x / 30)

    with torch.no_grad():
        for name, scale in (("mu", s_mu), ("mu_g", s_g)):
            flow = guide.flows[name]
            flow.location.zero_()
            flow.scale.fill_(scale)
            getattr(guide, f"_scale_{name}").fill_(scale)
        mu, mu_g = guide.encoder._tables["mu"], guide.encoder._tables["mu_g"]
        mu[0, :2] = exact.mean / s_mu
        mu[0, 2:4] = bounded(2 * math.log(s_mu / exact.sd))
        mu_g[:, :2] = exact.group_data / s_g
        mu_g[:, 2:4] = bounded(2 * math.log(s_g / exact.group_sd))


@pytest.mark.parametrize("groups", [2, 6])
def test_no_draw_of_the_posterior_has_a_gap(problem, groups):
    data, guide = problem
    settle(data, guide)
    assert gre_gap(guide, data, scales=SCALES, groups=groups, draws=3) == pytest.approx(
        0.0, abs=1e-8
    )


def test_the_gap_of_all_groups_is_that_of_the_elbo(problem):
    data, guide = problem
    elbo = pavi.Posterior(guide, data).elbo(draws=4000)
    exact = gre_posterior(data.values["x"], scales=SCALES).log_evidence
    gap = gre_gap(guide, data, scales=SCALES, draws=4000)
    # Both are means over independent draws.
    assert gap == pytest.approx(exact - elbo.mean, abs=6 * elbo.standard_error)


def test_samples_of_groups_are_unbiased(problem):
    data, guide = problem
    full = gre_gap(guide, data, scales=SCALES, draws=2000)
    parts = torch.tensor(
        [gre_gap(guide, data, scales=SCALES, groups=2, draws=50, seed=s) for s in range(200)]
    )
    assert float(parts.mean()) == pytest.approx(full, abs=4 * float(parts.std()) / 200**0.5)


def test_a_course_is_even_on_a_log_scale():
    assert course_steps(4, 10_000).tolist() == [10, 100, 1000, 10_000]
    assert course_steps(5, 4).tolist() == [4]


def test_at_the_posterior_only_the_rows_of_a_batch_vary(problem):
    data, guide = problem
    objective = pavi.ReducedELBO(draws=2)
    start = gradient_variance(guide, data, objective, batch={"group": 2}, batches=8, seed=0)
    settle(data, guide)
    part = gradient_variance(guide, data, objective, batch={"group": 2}, batches=8, seed=0)
    whole = gradient_variance(guide, data, objective, batch={}, batches=8, seed=0)
    assert whole < 1e-15
    assert whole < part < start
