"""The objective of sharded ranks, averaged over ranks and all their batches, is the full one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from data.every_draw import every_draw
from guides.families import FREE, random_guide
from laws.test_unbiased import CROSSING, NEST, data_of, fix_noise, value_and_gradient
from torch.testing import assert_close

from pavi.data import Shard
from pavi.data.stratified import StratifiedSampler

# The sharded plate, the number of ranks and the rows that each draws.
SCHEMES = {
    "all of a dense crossing": (dense_crossing, {}, "subject", 2, {}),
    "subjects": (dense_crossing, {}, "subject", 2, {"subject": 1}),
    "subjects and vertices": (dense_crossing, {}, "subject", 2, {"subject": 1, "vertex": 2}),
    "vertices of a subject each": (dense_crossing, {}, "subject", 3, {"vertex": 1}),
    "by vertex": (dense_crossing, {}, "vertex", 2, {"subject": 2, "vertex": 1}),
    "all of a nest": (ragged_nest, NEST, "lea", 2, {}),
    "top-down": (ragged_nest, NEST, "lea", 2, {"lea": 1, "school": 1, "pupil": 1}),
    "top-down from the middle": (ragged_nest, NEST, "lea", 2, {"school": 1, "pupil": 1}),
    "bottom-up": (ragged_nest, NEST, "lea", 2, {"pupil": 2}),
    "all of a sparse crossing": (sparse_crossing, CROSSING, "student", 2, {}),
    "ratings": (sparse_crossing, CROSSING, "student", 2, {"rating": 2}),
    "by the sharded side": (sparse_crossing, CROSSING, "student", 2, {"student": 1}),
    "by the other side": (sparse_crossing, CROSSING, "student", 2, {"lecturer": 2}),
    "by the other side of lecturers": (sparse_crossing, CROSSING, "lecturer", 3, {"student": 1}),
}


def every_batch(data, shard, sizes):
    """All distinct batches of a rank with their probabilities, in the rows of the whole data."""
    found = {}
    for (rows, weights), probability in every_draw(StratifiedSampler(data, sizes, shard).draw):
        key = tuple(tuple(ids.tolist()) for ids in rows.values())
        batch = shard.data.batch(rows, weights=weights)
        whole = {p: torch.as_tensor(own)[batch.rows[p]] for p, own in shard.rows.items()}
        batch = replace(batch, rows={**batch.rows, **whole})
        found[key] = batch, found.get(key, (batch, 0))[1] + probability
    assert sum(probability for _, probability in found.values()) == 1
    return [(batch, float(probability)) for batch, probability in found.values()]


@pytest.mark.parametrize(
    ("design", "links", "plate", "ranks", "sizes"), SCHEMES.values(), ids=SCHEMES
)
def test_the_average_over_ranks_and_batches_is_the_full_objective(
    monkeypatch, design, links, plate, ranks, sizes
):
    data = data_of(design, links)
    guide = random_guide(FREE["faithful"], data.model, data.cardinalities)
    fix_noise(monkeypatch, guide, data)
    full = value_and_gradient(guide, data.batch(), "path")
    mean = {name: torch.zeros_like(value) for name, value in full.items()}
    for rank in range(ranks):
        shard = Shard.of(data, plate, rank=rank, ranks=ranks)
        for batch, probability in every_batch(data, shard, sizes):
            for name, value in value_and_gradient(guide, batch, "path").items():
                mean[name] += probability / ranks * value
    for name, value in full.items():
        atol = 1e-10 * float(value.abs().max())
        assert_close(mean[name], value, rtol=1e-9, atol=atol, msg=lambda m, n=name: f"{n}: {m}")
