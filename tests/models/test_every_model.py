"""Laws of all models."""

from __future__ import annotations

import math

import pytest
import torch
from models.every_model import MODELS

import pavi


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MODELS)
def test_simulates_and_fits(name, dtype):
    model, sizes = MODELS[name]
    drawn = model.simulate(sizes, seed=0, dtype=dtype)
    for site, value in {**drawn.latents, **drawn.arrays}.items():
        spec = model.sites[site]
        assert value.shape == (*(sizes[p] for p in spec.plates), *spec.event_shape)
    data = pavi.PlateData.from_arrays(drawn.arrays, model, links=drawn.links, dtype=dtype)
    posterior = pavi.fit(model, data, steps=2, progress=False)
    assert math.isfinite(posterior.elbo(draws=4).mean)
    for site, value in posterior.sample(draws=3).items():
        assert value.dtype == dtype
        assert bool(model.supports[site].check(value).all())


@pytest.mark.parametrize("name", MODELS)
def test_the_guide_s_density_of_a_draw_is_what_it_says(name):
    model, sizes = MODELS[name]
    drawn = model.simulate(sizes, seed=0, dtype=torch.float64)
    data = pavi.PlateData.from_arrays(drawn.arrays, model, links=drawn.links, dtype=torch.float64)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities).double()
    with torch.no_grad():
        for table in guide.tables():
            table.normal_(std=0.3)
        draws = guide(data.batch(seed=1), draws=3)
        found = guide.log_prob(draws.values, data.batch())
    for site in model.latents:
        torch.testing.assert_close(found[site], draws.log_q[site], rtol=1e-6, atol=1e-6)
