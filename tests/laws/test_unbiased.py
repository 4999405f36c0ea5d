"""The reduced objective and its gradient, averaged over all possible batches, are the full ones.

The noise of a ground variable is made the same in every batch, which makes the law exact.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from data.every_draw import every_draw
from guides.families import FREE, random_guide
from torch.testing import assert_close

from pavi.data import PlateData, PlateSampler
from pavi.guides import plate_amortized
from pavi.objectives import ReducedELBO

DRAWS = 2
NEST = {"school": [1, 0, 1], "pupil": [2, 0, 1, 2, 1]}
CROSSING = {"rating": {"student": [2, 0, 1, 2, 0], "lecturer": [0, 0, 1, 1, 2]}}
SCHEMES = {
    "dense crossing": (dense_crossing, {}, {"subject": 2, "vertex": 2}),
    "dense crossing in blocks": (dense_crossing, {}, {"subject": 1, "vertex": 2}, {"vertex": 2}),
    "top-down": (ragged_nest, NEST, {"lea": 1, "school": 1, "pupil": 1}),
    "top-down from the middle": (ragged_nest, NEST, {"school": 2, "pupil": 1}),
    "bottom-up": (ragged_nest, NEST, {"pupil": 2}),
    "sparse crossing": (sparse_crossing, CROSSING, {"rating": 2}),
    "sparse crossing by one side": (sparse_crossing, CROSSING, {"student": 2}),
}


def data_of(design, links):
    """Random data, some of the likelihood's terms missing."""
    model = design()
    shape = (3, 2, 3, 2) if design is dense_crossing else (5,)
    arrays = {name: torch.randn(5) for name in model.covariates} | {"y": torch.randn(shape)}
    arrays["y"].view(-1)[2] = torch.nan
    return PlateData.from_arrays(arrays, model, links=links, missing="ignore", dtype=torch.float64)


def every_batch(data, sizes, blocks=None):
    """All distinct batches, each with its probability."""
    found = {}
    for (rows, weights), probability in every_draw(PlateSampler(data, sizes, blocks=blocks).draw):
        key = tuple(tuple(ids.tolist()) for ids in rows.values())
        batch, before = found.get(key, (data.batch(rows, weights=weights), 0))
        found[key] = batch, before + probability
    assert sum(probability for _, probability in found.values()) == 1
    return [(batch, float(probability)) for batch, probability in found.values()]


def fix_noise(monkeypatch, guide, data):
    """Let every ground variable have noise of its own, the same in every batch."""
    sites, tables, current = data.model.sites, {}, {}

    def start(encoder, arguments):
        current.update(batch=arguments[0], names=iter(guide._order))

    def noise(draws, shape, like, generator, *, antithetic, width):
        name, batch = next(current["names"]), current["batch"]
        plates = sites[name].plates
        if name not in tables:
            full = [data.cardinalities[plate] for plate in plates]
            tables[name] = torch.randn(draws, *full, shape[-1], dtype=like.dtype)
        value = tables[name]
        for axis, plate in enumerate(plates):
            value = value.index_select(1 + axis, batch.rows[plate])
        assert value.shape == (draws, *shape)
        return value

    guide.encoder.register_forward_pre_hook(start)
    monkeypatch.setattr(plate_amortized, "gaussian_noise", noise)


def value_and_gradient(guide, batch, gradient):
    """The terms of the objective, and its derivative in every parameter of the guide."""
    named = dict(guide.named_parameters())
    estimate = ReducedELBO(draws=DRAWS, gradient=gradient)(guide, batch)
    slopes = torch.autograd.grad(
        estimate.loss, list(named.values()), allow_unused=True, materialize_grads=True
    )
    dense = [slope.to_dense() if slope.is_sparse else slope for slope in slopes]
    return {
        "loss": estimate.loss.detach(),
        **estimate.terms,
        **dict(zip(named, dense, strict=True)),
    }


@pytest.mark.parametrize("gradient", ["path", "reparam"])
@pytest.mark.parametrize("family", FREE)
@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_the_average_over_all_batches_is_the_full_objective(monkeypatch, scheme, family, gradient):
    design, links, *sizes = scheme
    data = data_of(design, links)
    guide = random_guide(FREE[family], data.model, data.cardinalities)
    fix_noise(monkeypatch, guide, data)
    full = value_and_gradient(guide, data.batch(), gradient)
    mean = {name: torch.zeros_like(value) for name, value in full.items()}
    for batch, probability in every_batch(data, *sizes):
        for name, value in value_and_gradient(guide, batch, gradient).items():
            mean[name] += probability * value
    for name, value in full.items():
        # A gradient sums terms of both signs: rounding is relative to its largest entry.
        atol = 1e-10 * float(value.abs().max())
        assert_close(mean[name], value, rtol=1e-9, atol=atol, msg=lambda m, n=name: f"{n}: {m}")


def test_without_weights_the_law_does_not_hold(monkeypatch):
    data = data_of(ragged_nest, NEST)
    guide = random_guide(FREE["faithful"], data.model, data.cardinalities)
    fix_noise(monkeypatch, guide, data)
    full = value_and_gradient(guide, data.batch(), "path")
    total = dict.fromkeys(full, 0)
    for batch, probability in every_batch(data, {"pupil": 2}):
        ones = {plate: torch.ones_like(weight) for plate, weight in batch.weights.items()}
        unweighted = value_and_gradient(guide, replace(batch, weights=ones), "path")
        total = {name: total[name] + probability * value for name, value in unweighted.items()}
    wrong = {name for name in full if not torch.allclose(total[name], full[name], rtol=1e-3)}
    assert set(full) - wrong == {"mu", "tau"}  # the terms of sites without plates
