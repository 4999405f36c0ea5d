"""Guides that draw all latents at once train through Lightning."""

from __future__ import annotations

import pytest
import torch

import pavi
from pavi.guides import CascadingFlowsGuide, TotalFlowGuide, UIVIGuide
from pavi.models import gaussian_random_effects

GUIDES = {
    "cascading flows": (CascadingFlowsGuide, {}),
    "cascading flows, amortised": (CascadingFlowsGuide, {"amortised": True}),
    "total flow": (TotalFlowGuide, {}),
    "uivi": (UIVIGuide, {}),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gradient", ["path", "reparam"])
@pytest.mark.parametrize(("kind", "choices"), GUIDES.values(), ids=GUIDES)
def test_two_steps_move_every_parameter(kind, choices, gradient, dtype):
    model = gaussian_random_effects()
    sim = model.simulate({"group": 3, "obs": 4}, seed=0, dtype=dtype)
    data = pavi.PlateData.from_arrays(sim.arrays, model, dtype=dtype)
    guide = kind(model, data.cardinalities, **choices).to(dtype)
    before = {name: p.detach().clone() for name, p in guide.named_parameters()}
    objective = pavi.ReducedELBO(gradient=gradient)
    posterior = pavi.fit(model, data, guide=guide, objective=objective, steps=3, progress=False)
    still = {n for n, p in guide.named_parameters() if torch.equal(p, before[n])}
    # The flow over all latents has the zero encoding, which its weights multiply.
    assert still - {"flow.head.weight"} == set()
    assert all(p.dtype == dtype and torch.isfinite(p).all() for p in guide.parameters())
    assert posterior.sample("mu_g", draws=4).shape == (4, 3, 2)
    assert torch.isfinite(torch.tensor(posterior.elbo(draws=4).mean))
