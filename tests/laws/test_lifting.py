"""One data set of a lifted model is the model; densities of a guide and of its draws agree."""

from __future__ import annotations

import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from guides.families import COMPUTED, GUIDES, random_guide
from torch.testing import assert_close

import pavi
from pavi.core.lifting import lifted
from pavi.data import SimulatedBatches
from pavi.data.simulated import DATASET

SIZES = {
    dense_crossing: {"subject": 3, "session": 2, "vertex": 4},
    ragged_nest: {"lea": 3, "school": 5, "pupil": 9},
    sparse_crossing: {"student": 3, "lecturer": 4, "rating": 9},
}


@pytest.mark.parametrize("path", [False, True])
@pytest.mark.parametrize("family", GUIDES)
@pytest.mark.parametrize("design", SIZES)
def test_the_density_of_given_values_is_that_of_the_draw(design, family, path):
    model, sizes = design(), SIZES[design]
    simulation = model.simulate(sizes, seed=0, dtype=torch.float64)
    data = pavi.PlateData.from_arrays(
        simulation.arrays, model, links=simulation.links, dtype=torch.float64
    )
    guide = random_guide(GUIDES[family], model, sizes)
    drawn = guide(data.batch(seed=1), draws=3, path=path)
    found = guide.log_prob(drawn.values, data.batch())
    for name, log_q in drawn.log_q.items():
        assert_close(found[name], log_q, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("family", COMPUTED)
@pytest.mark.parametrize("design", SIZES)
def test_a_guide_of_data_sets_is_the_guide_of_each(design, family):
    model, sizes = design(), SIZES[design]
    batch = SimulatedBatches(model, sizes, datasets=3, seed=0, dtype=torch.float64)[4]
    many = random_guide(
        COMPUTED[family], lifted(model, DATASET), {DATASET: 3, **sizes}, datasets=DATASET
    )
    values = {name: batch.values[name].unsqueeze(0) for name in model.latents}
    together = many.log_prob(values, batch)
    amortized = pavi.AmortizedPosterior(model, many)
    for number in range(3):
        arrays = {n: batch.values[n][number] for n in (*model.observed, *model.covariates)}
        data = pavi.PlateData.from_arrays(arrays, model, links=batch.links, dtype=torch.float64)
        posterior = amortized.condition(data)
        alone = posterior.guide.log_prob(
            {name: value[:, number] for name, value in values.items()}, data.batch()
        )
        for name, log_q in alone.items():
            assert_close(log_q, together[name][:, number], rtol=1e-8, atol=1e-8)
