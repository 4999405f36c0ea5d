"""With the guide at the exact posterior, the ELBO is the log evidence for every draw."""

from __future__ import annotations

import math

import pytest
import torch

import pavi
from pavi.core.distributions import unvalidated
from pavi.models import gaussian_random_effects, gre_posterior

SCALES = (0.7, 0.5, 0.3)


def bounded(x):
    """What the soft bound of the flow takes to `x`."""
    return 30 * math.atanh(x / 30)


@pytest.fixture
def problem():
    model = gaussian_random_effects(dim=2, scales=SCALES)
    sim = model.simulate({"group": 4, "obs": 3}, seed=0, dtype=torch.float64)
    data = pavi.PlateData.from_arrays(sim.arrays, model, dtype=torch.float64)
    exact = gre_posterior(sim.arrays["x"], scales=SCALES)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities).double()
    s_mu, s_g, _ = SCALES
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
    return model, data, guide, exact


@pytest.mark.parametrize("path", [True, False])
def test_the_elbo_is_the_evidence_for_every_draw(problem, path):
    model, data, guide, exact = problem
    batch = data.batch(seed=1)
    drawn = guide(batch, draws=16, path=path)
    with unvalidated():
        total = model.log_factor("x", drawn.values, batch, draws=16).reshape(16, -1).sum(1)
    for name in drawn.values:
        total = total + (drawn.log_p[name] - drawn.log_q[name]).reshape(16, -1).sum(1)
    torch.testing.assert_close(total, torch.full_like(total, exact.log_evidence))


def test_path_gradients_vanish_at_the_posterior(problem):
    _, data, guide, _ = problem
    norms = {}
    for gradient in ("path", "reparam"):
        guide.zero_grad()
        pavi.ReducedELBO(draws=2, gradient=gradient)(guide, data.batch(seed=3)).loss.backward()
        norms[gradient] = float(guide.flows["mu_g"].head.bias.grad.norm())
    assert norms["path"] < 1e-9
    assert norms["reparam"] > 0.1
