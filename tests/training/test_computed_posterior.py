"""A posterior whose encodings are computed holds them: it draws, saves and loads without data."""

from __future__ import annotations

import pytest
import torch
from core.designs import ragged_nest, sparse_crossing

import pavi

SIZES = {
    ragged_nest: {"lea": 3, "school": 6, "pupil": 20},
    sparse_crossing: {"student": 6, "lecturer": 4, "rating": 30},
}


@pytest.mark.parametrize(
    "encodings",
    [
        pavi.DeepSetEncodings(dim=8, rounds=2),
        pavi.SetTransformerEncodings(dim=8),
        pavi.HybridEncodings(pavi.SetTransformerEncodings(dim=8), start=0.2),
    ],
    ids=lambda spec: type(spec).__name__,
)
@pytest.mark.parametrize("design", SIZES)
def test_a_saved_posterior_draws_the_same(design, encodings, tmp_path):
    model = design()
    simulation = model.simulate(SIZES[design], seed=0)
    data = pavi.PlateData.from_arrays(simulation.arrays, model, links=simulation.links)
    fitted = pavi.fit(model, data, encodings=encodings, steps=10, progress=False)
    fitted.save(tmp_path / "fit")
    loaded = pavi.Posterior.load(tmp_path / "fit", model)
    again = pavi.Posterior.load(tmp_path / "fit", model, data=data)
    before, after = fitted.sample(draws=5), loaded.sample(draws=5)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)
    assert again.elbo(draws=8).mean == pytest.approx(fitted.elbo(draws=8).mean, rel=1e-5)
    last = list(SIZES[design])[1]
    site = next(n for n in model.latents if model.sites[n].plates == (last,))
    assert loaded.sample(site, draws=5, **{last: [2, 0]}).shape == (5, 2)
