"""NUTS on our log density: known answers, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import LKJCholesky, Normal

import pavi
from pavi import Covariate, Latent, Observed, Plate, PlateData
from pavi.interop import ReferencePosterior, reference_posterior

pytest.importorskip("nutpie")


def normal_means() -> pavi.HierarchicalModel:
    return pavi.HierarchicalModel(
        plates=[Plate("group"), Plate("obs")],
        sites={
            "mu": Latent(lambda: Normal(1.0, 2.0)),
            "theta": Latent(lambda mu: Normal(mu, 0.5), plates="group"),
            "y": Observed(lambda theta: Normal(theta, 1.0), plates=("group", "obs")),
        },
    )


def measured(model, **kwargs) -> PlateData:
    drawn = model.simulate({"group": 4, "obs": 3}, seed=2)
    return PlateData.from_arrays(drawn.arrays, model, **kwargs)


def exact(data: PlateData) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of `mu` and `theta`, by linear algebra."""
    y = data.values["y"].double()
    groups, obs = y.shape
    design = torch.zeros(groups + 1, groups + 1, dtype=torch.float64)  # precision of (mu, theta)
    design[0, 0] = 1 / 2.0**2 + groups / 0.5**2
    design[0, 1:] = design[1:, 0] = -1 / 0.5**2
    design[1:, 1:] = (1 / 0.5**2 + obs) * torch.eye(groups, dtype=torch.float64)
    shift = torch.cat([torch.tensor([1.0 / 2.0**2], dtype=torch.float64), y.sum(1)])
    covariance = torch.linalg.inv(design)
    return covariance @ shift, covariance.diagonal().sqrt()


@pytest.fixture(scope="module")
def drawn() -> tuple[PlateData, ReferencePosterior]:
    model = normal_means()
    data = measured(model)
    reference = reference_posterior(model, data, draws=1000, chains=2, warm_up=300, compile=False)
    return data, reference


def test_the_posterior_of_normal_means_is_found(drawn):
    data, reference = drawn
    mean, sd = exact(data)
    moments = reference.moments()
    found = torch.cat([moments.mean["mu"].reshape(1), moments.mean["theta"]])
    spread = torch.cat([moments.sd["mu"].reshape(1), moments.sd["theta"]])
    # The error of a mean is the sd over the root of the effective sample size, at least 500 here;
    # four of these. Of an sd it is that over the root of two.
    assert ((found - mean) / sd).abs().max() < 4 / 500**0.5
    assert (spread / sd - 1).abs().max() < 4 / 1000**0.5


def test_the_chains_report_their_health(drawn):
    _, reference = drawn
    assert reference.draws["theta"].shape == (2, 1000, 4)
    assert reference.draws["theta"].dtype == torch.float64
    assert reference.r_hat["theta"].shape == reference.ess["theta"].shape == (4,)
    assert reference.smallest_ess > 500
    assert reference.largest_r_hat < 1.02
    assert reference.divergences == 0
    assert reference.gradients > 2 * 1300
    assert "divergences" in str(reference)


def test_chains_that_disagree_have_not_converged(drawn):
    _, reference = drawn
    shifted = {**reference.r_hat, "mu": torch.tensor(1.2)}
    worse = ReferencePosterior(reference.draws, shifted, reference.ess, 0, 0, 0.0, 0.0)
    assert not worse.converged
    assert "NOT converged" in str(worse)


def test_a_seed_fixes_the_draws():
    model = normal_means()
    data = measured(model)
    settings = {"draws": 20, "chains": 1, "warm_up": 20, "compile": False}
    one, two, other = (
        reference_posterior(model, data, seed=seed, **settings) for seed in (3, 3, 4)
    )
    assert torch.equal(one.draws["mu"], two.draws["mu"])
    assert not torch.equal(one.draws["mu"], other.draws["mu"])


def test_what_the_support_fixes_counts_as_mixed():
    model = pavi.HierarchicalModel(
        plates=[], sites={"corr": Latent(lambda: LKJCholesky(2, 2.0), event_shape=(2, 2))}
    )
    data = PlateData.from_arrays({}, model)
    reference = reference_posterior(model, data, draws=50, chains=2, warm_up=50, compile=False)
    assert (reference.draws["corr"][..., 0, 0] == 1).all()
    assert reference.r_hat["corr"][0, 0] == 1
    assert reference.ess["corr"][0, 1] == 100


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"draws": 3}, "draws must be an integer of at least 4, got 3"),
        ({"chains": 0}, "chains must be an integer of at least 1, got 0"),
        ({"warm_up": 0}, "warm_up must be an integer of at least 1, got 0"),
        ({"acceptance": 1.0}, r"acceptance must lie between 0 and 1, got 1\.0"),
        ({"centred": ["tau"]}, "centred names 'tau'"),
    ],
)
def test_bad_settings_are_named(settings, message):
    model = normal_means()
    with pytest.raises(ValueError, match=message):
        reference_posterior(model, measured(model), **settings)


def test_data_of_another_model_are_refused():
    with pytest.raises(ValueError, match="the data were made for another model"):
        reference_posterior(normal_means(), measured(normal_means()))


def test_large_posteriors_are_refused():
    model = normal_means()
    data = PlateData.from_arrays({"y": torch.zeros(20_000, 1)}, model)
    with pytest.raises(ValueError, match="20,001 latent numbers"):
        reference_posterior(model, data)


def test_a_density_that_is_not_finite_names_its_site():
    model = pavi.HierarchicalModel(
        plates=[Plate("obs")],
        sites={
            "mu": Latent(lambda: Normal(0.0, 1.0)),
            "y": Observed(lambda mu, x: Normal(mu, 1 / x), plates="obs"),
            "x": Covariate(plates="obs"),
        },
    )
    data = PlateData.from_arrays({"y": [1.0], "x": [1e300]}, model, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"not finite.*\['y'\]"):
        reference_posterior(model, data, compile=False)
