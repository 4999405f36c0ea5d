"""A posterior loaded without data draws all that its covariates do not stand in the way of."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

import pavi
from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate


def regression():
    """A slope that observed sites alone use a covariate for, and an effect with one in its prior."""
    return HierarchicalModel(
        [Plate("group"), Plate("row", within="group")],
        {
            "mu": Latent(lambda: Normal(0.0, 1.0)),
            "size": Covariate("group"),
            "a": Latent(lambda mu: Normal(mu, 1.0), "group"),
            "b": Latent(lambda a, size: Normal(a * size, 1.0), "group"),
            "year": Covariate(event_shape=(1,)),
            "trend": Latent(lambda year: Normal(year, 1.0), event_shape=(1,)),
            "x": Covariate("row"),
            "y": Observed(lambda mu, a, x: Normal(mu + a * x, 1.0), "row"),
            "z": Observed(lambda b, trend: Normal(b + trend[..., 0], 1.0), "row"),
        },
    )


@pytest.fixture(scope="module")
def fitted():
    model = regression()
    sim = model.simulate({"group": 4, "row": 9}, seed=0)
    data = pavi.PlateData.from_arrays(sim.arrays, model, links=sim.links)
    return data, pavi.fit(model, data, steps=3, dependence="parents", progress=False)


@pytest.fixture
def loaded(fitted, tmp_path):
    fitted[1].save(tmp_path / "fit")
    return pavi.Posterior.load(tmp_path / "fit", fitted[1].model)


def test_sites_without_covariates_in_their_priors_draw_the_same(fitted, loaded):
    for site in ("mu", "a"):
        assert torch.equal(loaded.sample(site, draws=5), fitted[1].sample(site, draws=5))
    assert loaded.sample("a", draws=5, group=[3, 1]).shape == (5, 2)
    assert loaded.summary("mu", "a", draws=5).mean["a"].shape == (4,)


@pytest.mark.parametrize("draw", ["sample", "summary"])
@pytest.mark.parametrize(
    ("sites", "site", "covariate"), [(["b"], "b", "size"), (["mu", "trend"], "trend", "year")]
)
def test_a_covariate_that_a_prior_needs_is_named(loaded, draw, sites, site, covariate):
    message = f"needs the prior of '{site}', which depends on the covariate '{covariate}'; "
    with pytest.raises(ValueError, match=message):
        getattr(loaded, draw)(*sites, draws=5)


def test_what_is_seen_upstream_needs_its_covariates_too(fitted, tmp_path):
    faithful = pavi.fit(fitted[1].model, fitted[0], steps=3, progress=False)
    faithful.save(tmp_path / "faithful")
    with pytest.raises(ValueError, match="needs the prior of '(b|trend)'"):
        pavi.Posterior.load(tmp_path / "faithful", faithful.model).sample("b", draws=5)


def test_with_the_data_all_is_drawn_the_same(fitted, tmp_path):
    data, posterior = fitted
    posterior.save(tmp_path / "fit")
    loaded = pavi.Posterior.load(tmp_path / "fit", posterior.model, data=data)
    for site, value in posterior.sample(draws=5).items():
        assert torch.equal(loaded.sample(draws=5)[site], value)
    assert loaded.elbo(draws=3) == posterior.elbo(draws=3)
