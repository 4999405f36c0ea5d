"""Draws and summaries made a chunk at a time are those of one chunk, row by row."""

from __future__ import annotations

from functools import partial

import pytest
from posterior.narrow import DESIGNS, TOLERANCE, narrow_posterior
from torch.testing import assert_close

from pavi.data.chunks import Chunks

DRAWS = 20


@pytest.fixture(params=DESIGNS)
def posterior(request):
    return narrow_posterior(request.param)


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
