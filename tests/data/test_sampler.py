"""Inclusion weights, exactly: averages over every draw that a sampler can make."""

from __future__ import annotations

import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from data.every_draw import every_draw
from torch.distributions import Normal
from torch.testing import assert_close

from pavi.core import HierarchicalModel, Latent, Observed, Plate
from pavi.data import PlateData, PlateSampler

F64 = torch.float64


def dense():
    return PlateData.from_arrays({"y": torch.randn(3, 2, 4, 2)}, dense_crossing(), dtype=F64)


def nest():
    links = {"school": [1, 0, 1], "pupil": [2, 0, 1, 2, 1]}
    arrays = {"x": torch.randn(5), "y": torch.randn(5)}
    return PlateData.from_arrays(arrays, ragged_nest(), links=links, dtype=F64)


def crossing():
    links = {"rating": {"student": [2, 0, 1, 2, 0], "lecturer": [0, 0, 1, 1, 2]}}
    return PlateData.from_arrays({"y": torch.randn(5)}, sparse_crossing(), links=links, dtype=F64)


def nests_crossed():
    """Ratings of courses, which lie within faculties, by students."""
    model = HierarchicalModel(
        [Plate("faculty"), Plate("course", "faculty"), Plate("student"), Plate("item"),
         Plate("rating", ("student", "course"))],
        {"y": Observed(lambda: Normal(0.0, 1.0), ("rating", "item"))},
    )  # fmt: skip
    links = {
        "course": [0, 1, 0],
        "rating": {"student": [0, 0, 1, 1, 1], "course": [0, 1, 2, 0, 2]},
    }
    return PlateData.from_arrays({"y": torch.randn(5, 3)}, model, links=links, dtype=F64)


SCHEMES = [
    (dense, {}),
    (dense, {"subject": 2}),
    (dense, {"subject": 2, "vertex": 3}),
    (nest, {"lea": 1}),
    (nest, {"lea": 1, "school": 1}),
    (nest, {"lea": 1, "pupil": 1}),
    (nest, {"lea": 2, "school": 1, "pupil": 1}),
    (nest, {"school": 2}),
    (nest, {"school": 2, "pupil": 1}),
    (nest, {"pupil": 2}),
    (nest, {"pupil": 5}),
    (crossing, {"rating": 1}),
    (crossing, {"rating": 3}),
    (crossing, {"student": 1}),
    (crossing, {"lecturer": 2}),
    (nests_crossed, {"rating": 2, "item": 2}),
    (nests_crossed, {"faculty": 1}),
    (nests_crossed, {"student": 1, "item": 1}),
]


def cells(batch, plates):
    """An index of what a batch holds on `plates`."""
    return torch.meshgrid(*(batch.rows[p] for p in plates), indexing="ij") if plates else ()


def name_of(value):
    if isinstance(value, dict):
        return "-".join(f"{plate}{size}" for plate, size in value.items()) or "whole"
    return value.__name__


@pytest.mark.parametrize(("design", "sizes"), SCHEMES, ids=name_of)
def test_weighted_sums_average_to_full_sums(design, sizes):
    data = design()
    sampler, site_plates = PlateSampler(data, sizes), {s.plates for s in data.model.sites.values()}
    shapes = {plates: [data.cardinalities[p] for p in plates] for plates in site_plates}
    shapes |= {(plate,): [size] for plate, size in data.cardinalities.items()}
    means = {plates: torch.zeros(shape, dtype=F64) for plates, shape in shapes.items()}
    total = 0
    for (rows, weights), probability in every_draw(sampler.draw):
        batch = data.batch(rows, weights=weights)
        total += probability
        for plates, mean in means.items():
            index = (
                torch.meshgrid(*(batch.rows[p] for p in plates), indexing="ij") if plates else ()
            )
            mean[index] += float(probability) * batch.weight(plates)
    assert total == 1
    for mean in means.values():
        assert_close(mean, torch.ones_like(mean), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("design", "sizes"), SCHEMES, ids=name_of)
def test_a_batch_holds_the_links_and_values_of_its_rows(design, sizes):
    data = design()
    for (rows, weights), _ in every_draw(PlateSampler(data, sizes).draw):
        batch = data.batch(rows, weights=weights)
        for plate, ids in batch.rows.items():
            assert (ids.diff() > 0).all()
            assert len(batch.weights[plate]) == len(ids)
        for plate, parents in batch.links.items():
            for parent, positions in parents.items():
                expected = data.links[plate][parent][batch.rows[plate]]
                assert torch.equal(batch.rows[parent][positions], expected)
        for name, value in batch.values.items():
            index = [batch.rows[plate] for plate in data.model.sites[name].plates]
            assert torch.equal(
                value, data.values[name][torch.meshgrid(*index, indexing="ij") if index else ()]
            )


def test_a_nest_is_drawn_independently_per_group():
    draws = [
        rows for (rows, _), _ in every_draw(PlateSampler(nest(), {"lea": 2, "school": 1}).draw)
    ]
    assert {tuple(rows["school"].tolist()) for rows in draws} == {(0, 1), (1, 2)}
    assert all({len(rows["lea"]), len(rows["school"])} == {2} for rows in draws)


def siblings():
    model = HierarchicalModel(
        [Plate("school"), Plate("pupil", within="school"), Plate("teacher", within="school")],
        {name: Observed(lambda: Normal(0.0, 1.0), name) for name in ("pupil", "teacher")},
    )
    arrays = {name: torch.randn(2) for name in ("pupil", "teacher")}
    return PlateData.from_arrays(arrays, model, links={"pupil": [0, 1], "teacher": [1, 0]})


def pairs():
    """A latent site on all pairs of student and lecturer, which share ratings."""
    model = sparse_crossing()
    sites = {**model.sites, "p": Latent(lambda: Normal(0.0, 1.0), ("student", "lecturer"))}
    model = HierarchicalModel(list(model.plates.values()), sites)
    links = {"rating": {"student": [0, 1], "lecturer": [1, 0]}}
    return PlateData.from_arrays({"y": torch.randn(2)}, model, links=links)


def diamond():
    model = HierarchicalModel(
        [Plate("lea"), Plate("school", "lea"), Plate("home", "lea"),
         Plate("pupil", ("school", "home"))],
        {"y": Observed(lambda: Normal(0.0, 1.0), "pupil")},
    )  # fmt: skip
    links = {"school": [0, 1], "home": [1, 0], "pupil": {"school": [0, 1], "home": [1, 0]}}
    return PlateData.from_arrays({"y": torch.randn(2)}, model, links=links)


@pytest.mark.parametrize(
    ("design", "sizes", "message"),
    [
        (nest, {"pupils": 2}, r"unknown plates \['pupils'\]; plates are \['lea', 'school', 'pup"),
        (nest, {"pupil": 6}, r"plate 'pupil' must be between 1 and its 5 rows, got 6"),
        (nest, {"pupil": 0}, r"plate 'pupil' must be between 1 and its 5 rows, got 0"),
        (nest, {"lea": 1, "school": -1}, r"plate 'school' must be between 1 and .* 3 .*got -1"),
        (crossing, {"student": 1, "lecturer": 1},
         r"'student' and 'lecturer' cannot both be drawn: '(rating|lecturer)' is connected"),
        (crossing, {"student": 1, "rating": 1}, r"'rating' per row of 'student' leaves 'lecturer'"),
        (siblings, {"pupil": 1}, r"some rows of 'school' .* 'teacher' .*; draw 'school'"),
        (pairs, {"rating": 1}, r"site 'p' crosses .* through 'rating'; draw these two"),
        (pairs, {"student": 1}, r"site 'p' crosses 'lecturer' with 'student'.*through 'student'"),
        (diamond, {"lea": 1}, r"'pupil' lies within \['school', 'home'\], which both hang on"),
    ],
)  # fmt: skip
def test_a_batch_without_known_inclusion_probabilities_is_refused(design, sizes, message):
    with pytest.raises(ValueError, match=message):
        PlateSampler(design(), sizes)
