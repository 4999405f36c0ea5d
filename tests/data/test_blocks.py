"""Rows in contiguous runs: every row is as likely as any other, exactly."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from data.every_draw import every_draw
from torch.testing import assert_close

from pavi.data import PlateBatches, PlateData, PlateDataModule, PlateSampler
from pavi.data.blocks import draw_blocks
from pavi.data.epochs import Independent

F64 = torch.float64


def dense():
    return PlateData.from_arrays({"y": torch.randn(3, 2, 7, 2)}, dense_crossing(), dtype=F64)


def nest():
    links = {"school": [1, 0, 1, 2, 3], "pupil": [2, 0, 1, 2, 1, 3, 4]}
    arrays = {"x": torch.randn(7), "y": torch.randn(7)}
    return PlateData.from_arrays(arrays, ragged_nest(), links=links, dtype=F64)


def crossing():
    links = {"rating": {"student": [2, 0, 1, 2, 0], "lecturer": [0, 0, 1, 1, 2]}}
    return PlateData.from_arrays({"y": torch.randn(5)}, sparse_crossing(), links=links, dtype=F64)


@pytest.mark.parametrize(
    ("total", "size", "block"),
    [
        (12, 4, 4),
        (12, 8, 4),
        (12, 12, 4),
        (13, 8, 4),
        (11, 4, 2),
        (11, 10, 5),
        (7, 6, 6),
        (5, 3, 1),
    ],
)
def test_every_row_has_the_same_probability(total, size, block):
    found = Counter()
    for rows, probability in every_draw(
        lambda rng: draw_blocks("vertex", total, size, block, Independent(rng))
    ):
        assert (np.diff(rows) > 0).all()
        found.update(dict.fromkeys(rows.tolist(), probability))
    assert found == dict.fromkeys(range(total), Fraction(size, total))


def test_rows_come_in_runs_and_no_two_are_tied_for_good():
    together = set()
    for rows, _ in every_draw(lambda rng: draw_blocks("vertex", 11, 6, 3, Independent(rng))):
        # On the circle, every row belongs to a run of a multiple of three.
        circle = np.isin(np.arange(11), rows)
        circle = np.roll(circle, -int(np.flatnonzero(~circle)[0]))
        runs = "".join("x" if row else " " for row in circle).split()
        assert {len(run) % 3 for run in runs} == {0}
        together.update((a, b) for a in rows for b in rows)
    assert len(together) == 121


SCHEMES = [
    (dense, {"vertex": 4}, {"vertex": 2}),
    (dense, {"subject": 2, "vertex": 6}, {"vertex": 3}),
    (dense, {"subject": 2, "vertex": 3}, {"subject": 2, "vertex": 3}),
    (dense, {"subject": 2, "vertex": 2}, {"subject": 1, "vertex": 1}),
    (nest, {"lea": 2}, {"lea": 2}),
    (nest, {"lea": 2, "pupil": 1}, {"lea": 2}),
]


@pytest.mark.parametrize(("design", "sizes", "blocks"), SCHEMES)
def test_weighted_sums_average_to_full_sums(design, sizes, blocks):
    data = design()
    full = {name: value.sum() for name, value in data.values.items()}
    mean, total = dict.fromkeys(full, 0.0), 0
    for (rows, weights), probability in every_draw(PlateSampler(data, sizes, blocks=blocks).draw):
        batch = data.batch(rows, weights=weights)
        total += probability
        for name, value in batch.values.items():
            plates = data.model.sites[name].plates
            weight = batch.weight(plates).reshape(
                *batch.shape(plates), *[1] * (value.ndim - len(plates))
            )
            mean[name] = mean[name] + float(probability) * (weight * value).sum()
    assert total == 1
    for name, value in full.items():
        assert_close(mean[name], value, rtol=1e-12, atol=1e-12)


def test_the_stream_and_the_module_draw_blocks():
    settings = {"batch": {"subject": 2, "vertex": 4}, "blocks": {"vertex": 4}, "seed": 1}
    data = dense()
    for batch in (
        PlateBatches(data, **settings)[5],
        next(iter(PlateBatches(data, **settings, start=2))),
    ):
        rows = batch.rows["vertex"].tolist()
        assert any(sorted((first + i) % 7 for i in range(4)) == rows for first in range(7))
        assert (batch.weights["vertex"] == 7 / 4).all()
    PlateDataModule(data, **settings)


@pytest.mark.parametrize(
    ("design", "sizes", "blocks", "message"),
    [
        (dense, {"vertex": 4}, {"voxel": 2}, r"unknown plate 'voxel'; plates are \['subject'"),
        (dense, {"vertex": 4}, {"vertex": 3}, r"divides the 4 to draw, got 3"),
        (dense, {"vertex": 4}, {"vertex": 0}, r"positive number of rows .* got 0"),
        (dense, {"vertex": 4}, {"subject": 2}, r"all rows are taken; .* batch=\{'subject': 8\}"),
        (nest, {"lea": 2, "school": 2}, {"school": 2}, r"it lies within \['lea'\]"),
        (crossing, {"student": 2}, {"student": 2}, r"bring rows of 'lecturer' along"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(design, sizes, blocks, message):
    with pytest.raises(ValueError, match=message):
        PlateDataModule(design(), batch=sizes, blocks=blocks)
