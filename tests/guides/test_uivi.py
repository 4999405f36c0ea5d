"""UIVI: its score and its bound against quadrature, and posteriors that are not Gaussian."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import HalfNormal, Normal
from torch.testing import assert_close

import pavi
from pavi import Latent, Observed
from pavi.guides import HMC, UIVIGuide
from pavi.metrics import full_elbo
from pavi.models import gaussian_random_effects

OPTIMIZATION = pavi.Optimization(learning_rate=0.02)


def bimodal():
    """Two modes of the same mass, about 1.6 and -1.6."""
    return pavi.HierarchicalModel(
        [],
        {
            "z": Latent(lambda: Normal(0.0, 3.0)),
            "x": Observed(lambda z: Normal(z.square(), 2.5)),
        },
    )


def banana():
    return pavi.HierarchicalModel(
        [],
        {
            "z": Latent(lambda: Normal(torch.zeros(2), 3.0), event_shape=(2,)),
            "x": Observed(lambda z: Normal(z[..., 0].square() + z[..., 1], 2.0)),
        },
    )


def fitted(model, x, *, steps, spread=0.2):
    data = pavi.PlateData.from_arrays({"x": torch.tensor(x)}, model)
    guide = UIVIGuide(model, data.cardinalities, spread=spread, extra=300)
    pavi.fit(
        model,
        data,
        guide=guide,
        objective=pavi.ReducedELBO(draws=16),
        optimization=OPTIMIZATION,
        steps=steps,
        progress=False,
    )
    with torch.no_grad():
        draws = guide(data.batch(seed=5), draws=40_000).values["z"]
    return data, guide, draws


@pytest.fixture(scope="module")
def mixture():
    torch.manual_seed(0)
    return fitted(bimodal(), 4.0, steps=700)


def line():
    """A grid, its exact probabilities, and the log evidence."""
    grid = torch.linspace(-8, 8, 161)
    log_p = Normal(0.0, 3.0).log_prob(grid) + Normal(grid.square(), 2.5).log_prob(
        torch.tensor(4.0)
    )
    return grid, log_p.softmax(0), float(log_p.logsumexp(0) + math.log(0.1))


def test_both_modes_are_found(mixture):
    _, _, draws = mixture
    grid, exact, _ = line()
    found = torch.histc(draws, 161, -8.05, 8.05) / len(draws)
    # A Gaussian is 0.25 off at best, one mode alone 0.5.
    assert 0.5 * (found - exact).abs().sum() < 0.15
    for sign in (1, -1):
        side, mass = sign * draws > 0, exact[sign * grid > 0]
        mean = (mass * grid[sign * grid > 0]).sum() / mass.sum()
        assert abs(side.float().mean() - 0.5) < 0.15
        assert_close(draws[side].mean(), mean, rtol=0.1, atol=0)


def test_the_bound_errs_low_and_rises_with_more_noise(mixture):
    data, guide, _ = mixture
    *_, evidence = line()
    bounds = []
    for extra in (1, 10, 1000):
        guide._extra = extra
        bounds.append(full_elbo(guide, data, draws=4000))
    guide._extra = 300
    assert guide.bound == "SIVI bound"
    means, error = [bound.mean for bound in bounds], bounds[-1].standard_error
    assert means[0] < means[1] - 0.1
    assert means[1] < means[2] - 0.01
    assert evidence - 0.3 < means[2] < evidence + 3 * error


def test_the_score_and_the_estimate_are_those_of_the_mixture():
    model = bimodal()
    data = pavi.PlateData.from_arrays({"x": torch.tensor(4.0)}, model)
    guide = UIVIGuide(model, data.cardinalities, noise_dim=1, spread=0.6).double()
    # A grid of the one noise makes the mixture a sum.
    noise = torch.linspace(-7, 7, 2001, dtype=torch.float64).unsqueeze(-1)
    log_weight = (-0.5 * noise.square().squeeze(-1)).log_softmax(0)
    source = torch.randn(4000, 1, dtype=torch.float64)
    z = guide.network(source) + guide.log_sigma.exp() * torch.randn(4000, 1).double()
    z = z.detach().requires_grad_(True)
    log_q = (guide._log_component(z.unsqueeze(1), noise) + log_weight).logsumexp(-1)
    (exact,) = torch.autograd.grad(log_q.sum(), z)
    log_q = log_q.detach()
    found = guide.score(z, source, generator=torch.Generator().manual_seed(0))
    errors = found - exact
    for weight in (torch.ones_like(z), z.detach(), z.detach().square()):
        part = weight * errors
        assert abs(part.mean()) < 4 * part.std() / 4000**0.5
    assert errors.square().mean() < 0.5 * exact.square().mean()
    extra = torch.randn(2000, 1, dtype=torch.float64)
    with torch.no_grad():
        few = guide.log_mixture(z, source, extra[:2]) - log_q
        many = guide.log_mixture(z, source, extra) - log_q
    assert few.mean() > 4 * few.std() / 4000**0.5  # high in the mean, as derived
    assert abs(many.mean()) < 0.1 * few.mean()


def test_log_q_has_the_score_as_its_derivative_and_the_estimate_as_its_value():
    model = pavi.HierarchicalModel(
        [], {"s": Latent(lambda: HalfNormal(1.0)), "x": Observed(lambda s: Normal(0.0, s))}
    )
    data = pavi.PlateData.from_arrays({"x": torch.tensor(1.0)}, model, dtype=torch.float64)
    guide = UIVIGuide(model, data.cardinalities).double()
    batch = data.batch(seed=3)
    drawn = guide(batch, draws=5, path=True)
    plain = guide(batch, draws=5)
    assert_close(drawn.values["s"], plain.values["s"])
    assert_close(drawn.log_q["s"], plain.log_q["s"])
    # All of a path density's dependence on sigma is through the draw: d log s / d log sigma.
    slope = torch.autograd.grad(drawn.log_q["s"].sum(), guide.log_sigma, retain_graph=True)[0]
    values = drawn.values["s"]
    log_s = values.log()
    z = (log_s - guide.latents.location) / guide.latents.scale
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    torch.randn(100, 3, generator=generator, dtype=torch.float64)
    score = guide.score(z.detach().unsqueeze(-1), noise[:, :3], generator=generator)
    moves = guide.log_sigma.exp() * noise[:, 3:]
    expected = ((score - guide.latents.scale) * moves).sum(0)  # minus d log |ds / d log s|
    assert_close(slope, expected.detach())


def test_a_banana_is_found():
    _, _, draws = fitted(banana(), 1.0, steps=350, spread=0.1)
    a, b = torch.linspace(-8, 8, 41), torch.linspace(-12, 8, 51)
    one, two = torch.meshgrid(a, b, indexing="ij")
    prior = Normal(0.0, 3.0)
    log_p = prior.log_prob(one) + prior.log_prob(two)
    log_p = log_p + Normal(one.square() + two, 2.0).log_prob(torch.tensor(1.0))
    exact = log_p.flatten().softmax(0).reshape(log_p.shape)
    found = torch.histogramdd(draws, bins=[41, 51], range=[-8.2, 8.2, -12.2, 8.2]).hist
    # 0.10 to 0.14 after as many steps; the best Gaussian is 0.35 off.
    assert 0.5 * (found / len(draws) - exact).abs().sum() < 0.2
    assert_close(draws[:, 1].mean(), (exact.sum(0) * b).sum(), rtol=0, atol=0.35)


def test_mistakes_are_named():
    model = gaussian_random_effects()
    sim = model.simulate({"group": 4, "obs": 3}, seed=0)
    data = pavi.PlateData.from_arrays(sim.arrays, model)
    guide = UIVIGuide(model, data.cardinalities)
    with pytest.raises(ValueError, match=r"UIVIGuide draws all .* \['group'\] it holds \[2\]"):
        pavi.fit(model, data, guide=guide, steps=2, batch={"group": 2}, progress=False)
    drawn = guide(data.batch(), draws=2)
    with pytest.raises(ValueError, match="density of a UIVIGuide is not tractable"):
        guide.log_prob(drawn.values, data.batch())
    assert guide(data.batch(), draws=2, given=drawn) is drawn
    for name, wrong in (("noise_dim", 0), ("extra", 0), ("spread", 0.0), ("widths", (5, 0))):
        with pytest.raises(ValueError, match=rf"{name}.* must be positive, got 0"):
            UIVIGuide(model, data.cardinalities, **{name: wrong})
    assert HMC() == guide._hmc
