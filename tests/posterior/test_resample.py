"""Importance-resampled draws: exact guides keep theirs, poor ones are mended or found out."""

from __future__ import annotations

import math

import pytest
import torch
from laws.exact_gre import random_effects, settle
from torch.distributions import Normal, Pareto

import pavi
from pavi import HierarchicalModel, Latent, Observed
from pavi.posterior.resampling import smoothed, systematic


def test_an_exact_guide_has_constant_weights():
    _, data, guide, exact = random_effects(groups=4)
    settle(guide, exact)
    posterior = pavi.Posterior(guide, data)
    found = posterior.resample(draws=50, proposals=100)
    assert found.khat == -math.inf
    assert abs(found.effective_sample_size - 100) < 1e-3
    assert (found.distinct, found.proposals) == (50, 100)
    assert {site: tuple(value.shape) for site, value in found.values.items()} == {
        "mu": (50, 2), "mu_g": (50, 4, 2)
    }  # fmt: skip


def one_normal():
    """One latent with a standard normal prior and one observation; guides start at the prior."""
    model = HierarchicalModel(
        [],
        {
            "m": Latent(lambda: Normal(0.0, 1.0)),
            "y": Observed(lambda m: Normal(m, 0.5)),
        },
    )
    data = pavi.PlateData.from_arrays({"y": torch.tensor(1.0)}, model, dtype=torch.float64)
    return pavi.Posterior(pavi.PlateAmortizedGuide(model, data.cardinalities).double(), data)


def test_draws_of_the_prior_become_draws_of_the_posterior():
    found = one_normal().resample("m", draws=4000, proposals=20_000)
    draws = found.values["m"]
    assert list(found.values) == ["m"]
    assert -math.inf < found.khat < 0.5
    # Precision 1 + 4. The standard error is that of the effective sample size.
    error = 4.5 * (0.2 / min(4000, found.effective_sample_size)) ** 0.5
    assert abs(draws.mean() - 0.8) < error
    assert abs(draws.var() / 0.2 - 1) < 4.5 * (2 / 4000) ** 0.5


def test_the_weights_are_those_of_the_draws():
    """The draws that are made again for the picked ones are those that were weighed."""
    posterior = one_normal()
    proposals = posterior.sample("m", draws=500, seed=3)
    log_weights = Normal(proposals, 0.5).log_prob(torch.tensor(1.0).double())
    weights = smoothed(log_weights)[0].exp()
    picked = systematic(weights, 100, seed=3)
    found = posterior.resample("m", draws=100, proposals=500, seed=3)
    assert torch.equal(found.values["m"], proposals[picked])


def test_weights_degenerate_with_many_latents_and_khat_says_so():
    model, data, guide, _ = random_effects(groups=200)
    found = pavi.Posterior(guide, data).resample("mu", draws=25, proposals=400)
    assert found.khat > 0.7
    assert found.effective_sample_size < 20
    assert model.latents == ("mu", "mu_g")


@pytest.mark.parametrize("shape", [0.3, 0.9])
def test_khat_is_the_shape_of_the_tail(shape):
    weights = Pareto(torch.tensor(1.0).double(), torch.tensor(1 / shape).double()).sample(
        (100_000,)
    )
    log_weights, khat = smoothed(weights.log() + 700.0)
    # About 950 exceedances: a standard error of (1 + k) / sqrt(950).
    assert abs(khat - shape) < 4 * (1 + shape) / 950**0.5
    assert abs(float(log_weights.exp().sum()) - 1) < 1e-9


def test_picks_are_proportional_to_the_weights():
    weights = torch.tensor([0.1, 0.0, 0.4, 0.5], dtype=torch.float64)
    counts = torch.bincount(systematic(weights, 10, seed=0), minlength=4)
    assert counts.tolist() == [1, 0, 4, 5]
    uniform = torch.full((7,), 1 / 7, dtype=torch.float64)
    assert sorted(systematic(uniform, 7, seed=1).tolist()) == list(range(7))
    # With draws that do not divide, every count is one of the two nearest integers.
    counts = torch.bincount(systematic(weights, 7, seed=2), minlength=4)
    assert ((counts - 7 * weights).abs() < 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, r"draws must be an integer of at least 1, got 0"),
        (
            {"draws": 9, "proposals": 24},
            r"proposals must be 25 or more and no fewer than the 9 draws",
        ),
        ({"draws": 99, "proposals": 50}, r"no fewer than the 99 draws, got 50"),
    ],
)
def test_numbers_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        one_normal().resample(**options)


def test_it_needs_observed_values_and_finite_weights(tmp_path):
    posterior = one_normal()
    posterior.save(tmp_path / "fit")
    with pytest.raises(
        ValueError, match=r"an importance weight needs the observed values of \['y'\]"
    ):
        pavi.Posterior.load(tmp_path / "fit", posterior.model).resample()
    with pytest.raises(ValueError, match="2 of 30 importance weights are not finite"):
        smoothed(torch.tensor([0.0] * 28 + [math.nan, math.inf]))
    with pytest.raises(ValueError, match="all 30 importance weights are zero"):
        smoothed(torch.full((30,), -math.inf))


def test_what_the_model_gives_no_density_is_never_picked():
    # A proposal on [0, 2] for a target on [0, 1]: half the weights are zero, the others equal.
    proposals = torch.linspace(0, 2, 400)
    log_weights, khat = smoothed(torch.where(proposals > 1, -math.inf, 0.0))
    assert khat == -math.inf
    picked = systematic(log_weights.exp(), 200, seed=0)
    assert sorted(picked.tolist()) == list(range(200))
