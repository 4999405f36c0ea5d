"""What a flow sees, against the exact conditionals of linear-Gaussian models."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import HalfNormal, Normal

import pavi
from pavi import Covariate, Latent, Observed, Plate
from pavi.guides.dependence import Dependence, drawing_order, upstream_sites

CHAIN = {
    "top": Latent(lambda: Normal(0.0, 1.0)),
    "group": Latent(lambda top: Normal(top, 1.0), plates="g"),
    "low": Latent(lambda group: Normal(group, 1.0), plates="h"),
    "y": Observed(lambda low: Normal(low, 1.0), plates="n"),
}
OFFSET = {
    **CHAIN,
    "offset": Latent(lambda: Normal(0.0, 1.0)),
    "y": Observed(lambda low, offset: Normal(low + offset, 1.0), plates="n"),
}
# The top is in the data's own factor too.
TWICE = {**CHAIN, "y": Observed(lambda low, top: Normal(low - 0.5 * top, 1.0), plates="n")}
# Two branches, of which the data tie the second to the top's other child.
FORK = {
    "top": Latent(lambda: Normal(0.0, 1.0)),
    "left": Latent(lambda top: Normal(top, 1.0)),
    "right": Latent(lambda top: Normal(top, 1.0)),
    "y": Observed(lambda left: Normal(left, 1.0), plates="g"),
    "z": Observed(lambda left, right: Normal(left + right, 1.0), plates="g"),
}
PLATES = [Plate("g"), Plate("h", within="g"), Plate("n", within="h")]


def exact(sites):
    """Per site, those before it that its conditional depends on beyond its prior, by algebra."""
    model = pavi.HierarchicalModel(plates=PLATES, sites=sites)
    names = list(drawing_order(model))
    one = {"g": 1, "h": 1, "n": 1}
    data = model.simulate(one, seed=0, dtype=torch.float64)
    held = pavi.PlateData.from_arrays(data.arrays, model, links=data.links, dtype=torch.float64)
    batch = held.batch()

    def values(theta):
        shapes = [(1, *batch.shape(model.sites[name].plates)) for name in names]
        return {
            n: theta[k].reshape(shape)
            for k, (n, shape) in enumerate(zip(names, shapes, strict=True))
        }

    def joint(theta):
        return sum(f.sum() for f in model.log_factors(values(theta), batch).values())

    zero = torch.zeros(len(names), dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(joint, zero)
    found = {}
    for k, name in enumerate(names):

        def prior(theta, name=name):
            return model.log_factors(values(theta), batch)[name].sum()

        drawn, left = slice(0, k + 1), slice(k + 1, len(names))
        marginal = hessian[drawn, drawn] - hessian[drawn, left] @ torch.linalg.solve(
            hessian[left, left], hessian[left, drawn]
        )
        beyond = marginal - torch.autograd.functional.hessian(prior, zero)[drawn, drawn]
        found[name] = {names[j] for j in range(k) if abs(beyond[k, j]) > 1e-10}
    return model, found


@pytest.mark.parametrize("sites", [CHAIN, OFFSET, TWICE, FORK], ids=["0", "1", "2", "3"])
def test_a_faithful_flow_sees_what_the_conditional_depends_on_beyond_the_prior(sites):
    model, found = exact(sites)
    carried = upstream_sites(model, Dependence.FAITHFUL, carried=model.latents)
    assert {name: set(seen) for name, seen in carried.items()} == found


def test_the_cases_differ():
    found = [exact(sites)[1] for sites in (CHAIN, OFFSET, TWICE, FORK)]
    assert found[0] == {"top": set(), "group": set(), "low": set()}
    assert "offset" in found[1]["low"]
    assert "top" in found[2]["group"]
    assert found[3]["right"] == {"left"}


def test_a_flow_that_does_not_follow_the_prior_sees_the_parents_too():
    model = pavi.HierarchicalModel(plates=PLATES, sites=CHAIN)
    seen = upstream_sites(model, Dependence.FAITHFUL)
    assert seen == {"top": (), "group": ("top",), "low": ("group",)}
    assert upstream_sites(model, Dependence.PARENTS) == seen


def test_a_prior_that_is_not_one_of_location_and_scale_is_not_carried():
    sites = {
        "top": Latent(lambda: Normal(0.0, 1.0)),
        "scale": Latent(lambda top: HalfNormal(top.exp()), plates="g"),
        "low": Latent(lambda scale: Normal(0.0, scale), plates="h"),
        "y": Observed(lambda low: Normal(low, 1.0), plates="n"),
    }
    model = pavi.HierarchicalModel(plates=PLATES, sites=sites)
    guide = pavi.PlateAmortizedGuide(model, {"g": 2, "h": 3, "n": 4})
    coefficients = {name: flow.head.out_features for name, flow in guide.flows.items()}
    # Location and precision, and two couplings to each number upstream.
    assert coefficients == {"top": 2, "scale": 4, "low": 2}


@pytest.mark.parametrize("full", [False, True], ids=["apart", "full"])
def test_a_flow_that_correlates_dimensions_is_coupled_to_the_prior_of_the_others(full):
    """With correlated covariates each coefficient's conditional holds the means of all of them."""
    sites = {
        "mu": Latent(lambda: Normal(torch.zeros(2), 1.0), event_shape=(2,)),
        "slope": Latent(lambda: Normal(0.0, 1.0)),
        "theta": Latent(lambda mu: Normal(mu, 1.0), plates="g", event_shape=(2,)),
        "single": Latent(lambda slope: Normal(slope, 1.0), plates="g"),
        "x": Covariate(plates="h", event_shape=(2,)),
        "y": Observed(lambda theta, x: Normal((theta * x).sum(-1), 1.0), plates="h"),
        "z": Observed(lambda single: Normal(single, 1.0), plates="g"),
    }
    model = pavi.HierarchicalModel(plates=[Plate("g"), Plate("h", within="g")], sites=sites)
    sizes = {"g": 3, "h": 9}
    guide = pavi.PlateAmortizedGuide(model, sizes, flow=pavi.AffineFlow(full=full))
    coefficients = {name: flow.head.out_features for name, flow in guide.flows.items()}
    # Location and precision per dimension, and with a triangle two couplings to each of mu's.
    assert coefficients["theta"] == (4 + 8 + 1 if full else 4)
    assert coefficients["single"] == 2


def test_random_coefficients_are_fitted_to_the_evidence():
    """The exact posterior is in the family: log p - log q is one number for all draws."""
    sites = {
        "mu": Latent(lambda: Normal(torch.zeros(2), 1.0), event_shape=(2,)),
        "theta": Latent(lambda mu: Normal(mu, 0.5), plates="g", event_shape=(2,)),
        "x": Covariate(plates="h", event_shape=(2,)),
        "y": Observed(lambda theta, x: Normal((theta * x).sum(-1), 0.5), plates="h"),
    }
    model = pavi.HierarchicalModel(plates=[Plate("g"), Plate("h", within="g")], sites=sites)
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(6).repeat_interleave(5)
    common = torch.randn(30, 1, generator=generator)
    x = common + 0.5 * torch.randn(30, 2, generator=generator)
    y = x.sum(-1) + 0.5 * torch.randn(30, generator=generator)
    arrays = {"x": x.double(), "y": y.double()}
    data = pavi.PlateData.from_arrays(arrays, model, links={"h": group}, dtype=torch.float64)
    flow = pavi.AffineFlow(full=True)
    posterior = pavi.fit(model, data, flow=flow, steps=600, seed=0, progress=False)
    elbo = posterior.elbo(draws=64)
    # The spread of log p - log q, in nats: 0.4 where each dimension reads its own prior alone.
    assert elbo.standard_error * 8 < 0.05
