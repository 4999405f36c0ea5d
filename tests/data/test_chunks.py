"""Chunks cover every row once, and the ELBO does not depend on their number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Normal

import pavi
from pavi import Latent, Observed, Plate
from pavi.data.chunks import Chunks
from pavi.metrics import full_elbo


@pytest.fixture
def data():
    model = pavi.HierarchicalModel(
        [Plate("student"), Plate("lecturer"), Plate("rating", within=("student", "lecturer"))],
        {
            "mu": Latent(lambda: Normal(0.0, 2.0)),
            "a": Latent(lambda: Normal(0.0, 0.7), "student"),
            "b": Latent(lambda mu: Normal(mu, 1.3), "lecturer"),
            "y": Observed(lambda a, b: Normal(a + b, 3.0), "rating"),
        },
    )
    sim = model.simulate({"student": 8, "lecturer": 3, "rating": 40}, seed=0, dtype=torch.float64)
    return pavi.PlateData.from_arrays(sim.arrays, model, links=sim.links, dtype=torch.float64)


def test_every_row_is_in_one_chunk(data):
    chunks = Chunks(data, draws=1, budget=10)
    parts = list(chunks.rows())
    assert len(parts) == len(chunks) > 1
    for plate in parts[0]:
        rows = np.sort(np.concatenate([part[plate] for part in parts]))
        assert rows.tolist() == list(range(data.cardinalities[plate]))
    assert set(chunks.fixed) == {"mu", "b"}


def test_the_elbo_is_the_same_in_one_chunk_and_in_many(data):
    guide = pavi.PlateAmortizedGuide(data.model, data.cardinalities).double()
    one, many = (full_elbo(guide, data, draws=4000, budget=b) for b in (2**30, 4000 * 10))
    # Sites that chunks share are drawn alike, so only the noise of `a` differs.
    assert one.terms["mu"] == many.terms["mu"]
    assert abs(one.mean - many.mean) < 4 * (one.standard_error + many.standard_error)
