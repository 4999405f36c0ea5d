"""Draws and summaries made a chunk at a time are those of one chunk, row by row."""

from __future__ import annotations

from functools import partial
from math import prod

import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from torch.testing import assert_close

import pavi
from pavi.data.chunks import Chunks

# Rows of children are out of the order of their parents.
NEST = {"school": [2, 0, 1, 2, 1], "pupil": [2, 4, 0, 1, 2, 1, 3, 4, 3, 2, 0]}
CROSSING = {"rating": {"student": [2, 0, 1, 2, 0, 1, 2], "lecturer": [0, 0, 1, 1, 1, 3, 2]}}
DESIGNS = {
    "ragged nest": (ragged_nest, NEST, (11,)),
    "sparse crossing": (sparse_crossing, CROSSING, (7,)),
    "dense crossing": (dense_crossing, {}, (2, 2, 5, 2)),
}
DRAWS, TOLERANCE = 20, 1e-3


@pytest.fixture(params=DESIGNS.values(), ids=DESIGNS)
def posterior(request):
    """Of a guide with next to no width, so that draws tell rows apart and not the noise."""
    design, links, shape = request.param
    model = design()
    arrays = {name: torch.randn(11) for name in model.covariates} | {"y": torch.randn(shape)}
    data = pavi.PlateData.from_arrays(arrays, model, links=links, dtype=torch.float64)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities).double()
    with torch.no_grad():
        for table in guide.tables():
            table.normal_()
        for name, flow in guide.flows.items():
            dim = prod(model.sites[name].event_shape)
            flow.head.bias[dim : 2 * dim] = 50.0  # the log of the gain in precision
    return pavi.Posterior(guide, data)


def in_chunks(posterior, monkeypatch):
    """From here on the posterior takes a row of the split plate at a time."""
    small = partial(Chunks, budget=1)
    plate = small(posterior.data, draws=DRAWS).plate
    assert len(small(posterior.data, draws=DRAWS)) == posterior.data.cardinalities[plate] > 2
    monkeypatch.setattr("pavi.posterior.joint_draws.Chunks", small)


def test_draws_in_chunks_are_those_of_one(posterior, monkeypatch):
    one = posterior.sample(draws=DRAWS)
    in_chunks(posterior, monkeypatch)
    many = posterior.sample(draws=DRAWS)
    assert list(many) == list(one)
    for site, value in one.items():
        # The noise of the rows differs, in a width of about 1e-6 scales of the prior.
        assert_close(many[site], value, rtol=0, atol=TOLERANCE)


def test_summaries_in_chunks_are_those_of_one(posterior, monkeypatch):
    one = posterior.summary(draws=DRAWS)
    in_chunks(posterior, monkeypatch)
    many = posterior.summary(draws=DRAWS)
    for part in ("mean", "sd", "quantiles"):
        found, expected = getattr(many, part), getattr(one, part)
        assert list(found) == list(expected)
        for site, value in expected.items():
            assert_close(found[site], value, rtol=0, atol=TOLERANCE)


def test_rows_are_told_apart(posterior):
    for site, mean in posterior.summary(draws=DRAWS).mean.items():
        if posterior.model.sites[site].plates:
            assert mean.flatten().sort().values.diff().min() > 2 * TOLERANCE
