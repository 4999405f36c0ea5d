"""The flow over all latents: an exact density, an exact posterior, full batches only."""

from __future__ import annotations

import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from torch.distributions import Dirichlet, HalfNormal, Normal
from torch.testing import assert_close

import pavi
from pavi import Latent, Observed, Plate
from pavi.flows import AffineFlow, MAFFlow, NSFFlow
from pavi.guides import TotalFlowGuide
from pavi.metrics import full_elbo
from pavi.models import gaussian_random_effects, gre_posterior

DESIGNS = {
    dense_crossing: {"subject": 2, "session": 2, "vertex": 3},
    ragged_nest: {"lea": 2, "school": 3, "pupil": 6},
    sparse_crossing: {"student": 3, "lecturer": 2, "rating": 6},
}
FLOWS = {"affine": AffineFlow(full=True), "maf": MAFFlow(hidden=(8,)), "nsf": NSFFlow(hidden=(8,))}


def simplex():
    return pavi.HierarchicalModel(
        [Plate("group")],
        {
            "s": Latent(lambda: HalfNormal(1.0), init=3.0),
            "p": Latent(lambda: Dirichlet(torch.ones(3)), "group", event_shape=(3,)),
            "y": Observed(lambda p, s: Normal(p, s), "group", event_shape=(3,)),
        },
    )


def problem(design, sizes, flow=None):
    model = design()
    sim = model.simulate(sizes, seed=0, dtype=torch.float64)
    data = pavi.PlateData.from_arrays(sim.arrays, model, links=sim.links, dtype=torch.float64)
    guide = TotalFlowGuide(model, data.cardinalities, flow=flow).double()
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.normal_(0.0, 0.1)
    return data, guide


def total(terms):
    return sum(term.flatten(1).sum(1) if term.ndim > 1 else term for term in terms.values())


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
@pytest.mark.parametrize(("design", "sizes"), [*DESIGNS.items(), (simplex, {"group": 2})])
def test_the_density_of_draws_is_that_of_their_values(design, sizes, flow):
    data, guide = problem(design, sizes, flow)
    batch = data.batch(seed=1)
    for path in (True, False):
        drawn = guide(batch, draws=5, path=path)
        found = guide.log_prob(drawn.values, batch)
        for name, log_q in drawn.log_q.items():
            assert log_q.shape == drawn.log_p[name].shape
            assert_close(found[name], log_q, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("design", "sizes"), DESIGNS.items())
def test_the_parts_of_the_density_sum_to_one_density(design, sizes):
    data, guide = problem(design, sizes)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.mul_(0.3)
        drawn = guide(data.batch(seed=2), draws=40_000)
    # Independent normals around the start, in place of a density that is not the guide's own.
    vector, minus = guide.latents.vector(drawn.values, data.batch())
    other = Normal(guide.latents.location, 0.8 * guide.latents.scale).log_prob(vector).sum(-1)
    ratio = (other + total(minus) - total(drawn.log_q)).exp()
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / 200


def test_path_and_full_gradients_agree_in_the_mean():
    data, guide = problem(ragged_nest, DESIGNS[ragged_nest])
    parameters = [p for p in guide.parameters() if p.numel() > 0]
    differences = []
    for seed in range(30):
        found = []
        for path in (True, False):
            drawn = guide(data.batch(seed=seed), draws=200, path=path)
            loss = (total(drawn.log_q) - total(drawn.log_p)).mean()
            slopes = torch.autograd.grad(
                loss, parameters, allow_unused=True, materialize_grads=True
            )
            found.append(torch.cat([slope.flatten() for slope in slopes]))
        differences.append(found[0] - found[1])
    differences = torch.stack(differences)
    error = differences.std(0) / 30**0.5
    assert (error > 1e-6).any()
    assert (differences.mean(0).abs() <= 6 * error + 1e-9).all()  # Student's t, 29 degrees


def test_it_starts_at_the_medians_of_the_prior_or_at_an_init():
    model = simplex()
    data = pavi.PlateData.from_arrays({"y": torch.rand(2, 3)}, model)
    guide = TotalFlowGuide(model, data.cardinalities)
    settings = {"draws": 2, "noise": 1e-4}
    before = guide(data.batch(), **settings).values
    assert_close(before["s"], torch.full((2,), 0.674), rtol=0.05, atol=0)
    assert_close(before["p"], torch.full((2, 2, 3), 1 / 3), rtol=0, atol=0.1)
    guide.initialise(data.batch())
    after = guide(data.batch(), **settings).values
    assert_close(after["s"], torch.full((2,), 3.0), rtol=1e-3, atol=0)
    assert_close(after["p"], before["p"])


def test_partial_batches_and_partly_given_draws_are_refused():
    model = gaussian_random_effects()
    sim = model.simulate({"group": 4, "obs": 3}, seed=0)
    data = pavi.PlateData.from_arrays(sim.arrays, model)
    guide = TotalFlowGuide(model, data.cardinalities)
    with pytest.raises(ValueError, match=r"of \['group'\] it holds \[2\] of \[4\] rows"):
        pavi.fit(model, data, guide=guide, steps=2, batch={"group": 2}, progress=False)
    drawn = guide(data.batch(), draws=2)
    assert guide(data.batch(), draws=2, given=drawn) is drawn
    part = pavi.guides.Draws(values={"mu": drawn.values["mu"]})
    with pytest.raises(ValueError, match=r"all of them or none; .* missing are \['mu_g'\]"):
        guide(data.batch(), draws=2, given=part)
    with pytest.raises(ValueError, match=r"cardinalities lack the plates \['obs'\]"):
        TotalFlowGuide(model, {"group": 4})


def test_a_full_affine_flow_finds_the_posterior_of_random_effects():
    model = gaussian_random_effects()
    sim = model.simulate({"group": 3, "obs": 10}, seed=0)
    data = pavi.PlateData.from_arrays(sim.arrays, model)
    guide = TotalFlowGuide(model, data.cardinalities)
    pavi.fit(model, data, guide=guide, steps=500, progress=False)
    evidence = gre_posterior(data.values["x"]).log_evidence
    assert abs(evidence - full_elbo(guide, data, draws=500).mean) < 0.02 * 8
