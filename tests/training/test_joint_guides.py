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


@pytest.mark.parametrize(("kind", "choices"), GUIDES.values(), ids=GUIDES)
def test_a_posterior_is_saved_and_gives_chosen_rows(kind, choices, tmp_path):
    model = gaussian_random_effects()
    simulation = model.simulate({"group": 3, "obs": 4}, seed=0)
    data = pavi.PlateData.from_arrays(simulation.arrays, model)
    guide = kind(model, data.cardinalities, **choices)
    posterior = pavi.fit(model, data, guide=guide, steps=2, progress=False)
    posterior.save(tmp_path / "saved")
    again = pavi.Posterior.load(tmp_path / "saved", model, data=data)
    everything = posterior.sample("mu_g", draws=5, seed=1)
    torch.testing.assert_close(again.sample("mu_g", draws=5, seed=1), everything)
    chosen = posterior.sample("mu_g", draws=5, seed=1, group=[2, 0, 2])
    torch.testing.assert_close(chosen, everything[:, [2, 0, 2]])
