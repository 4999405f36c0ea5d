"""Data from arrays, and the arrays that are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from torch.distributions import Bernoulli, Exponential, Normal, Poisson
from torch.testing import assert_close

from pavi.core import HierarchicalModel, Observed, Plate
from pavi.data import PlateData

NEST = {"school": [0, 1, 1], "pupil": [2, 0, 1, 2]}
CROSSING = {"rating": {"student": [1, 0], "lecturer": [0, 0]}}


def nest(x=(1.0, 2.0, 3.0, 4.0), y=(0.0, 0.0, 0.0, 0.0), links=NEST, **options):
    arrays = {"x": np.array(x), "y": np.array(y)}
    return PlateData.from_arrays(arrays, ragged_nest(), links=links, **options)


def one_plate(distribution, y, event_shape=(), **options):
    model = HierarchicalModel([Plate("n")], {"y": Observed(distribution, "n", event_shape)})
    return PlateData.from_arrays({"y": y}, model, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sizes_links_and_values(dtype):
    data = nest(dtype=dtype)
    assert data.cardinalities == {"lea": 2, "school": 3, "pupil": 4}
    assert data.links["pupil"]["school"].tolist() == [2, 0, 1, 2]
    assert data.values["x"].dtype == dtype
    assert data.values["x"].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_batch_of_chosen_rows():
    rows = {"lea": np.array([1]), "school": np.array([1, 2]), "pupil": np.array([0, 2])}
    batch = nest().batch(rows, sites=["x"])
    assert batch.links["pupil"]["school"].tolist() == [1, 0]
    assert batch.links["school"]["lea"].tolist() == [0, 0]
    assert {name: value.tolist() for name, value in batch.values.items()} == {"x": [1.0, 3.0]}


def test_integers_are_fine_for_counts():
    assert one_plate(lambda: Poisson(1.0), [0, 3]).values["y"].tolist() == [0.0, 3.0]


@pytest.mark.parametrize("event_shape", [(), (2,)])
def test_ignoring_drops_exactly_the_missing_terms(event_shape):
    y = torch.randn(4, *event_shape, dtype=torch.float64)
    holes = y.clone()
    holes.view(4, -1)[[1, 3], 0] = torch.nan
    whole, data = (
        one_plate(lambda: Normal(0.5, 1.0), values, event_shape, missing="ignore", dtype=y.dtype)
        for values in (y, holes)
    )
    full, factor = (d.model.log_factor("y", {}, d.batch(), draws=1) for d in (whole, data))
    present = torch.tensor([True, False, True, False])
    assert_close(factor, torch.where(present, full, 0.0), rtol=0, atol=0)
    part = data.batch({"n": np.array([1, 2])})
    assert_close(data.model.log_factor("y", {}, part, draws=1), factor[:, 1:3])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        # array axes
        (lambda: nest(x=[1.0]), r"plate 'pupil' has 1 rows by axis 0 of 'x', but 4 by axis 0 of "),
        (lambda: nest(links={**NEST, "pupil": [2, 0, 1]}),
         r"plate 'pupil' has 4 rows by axis 0 of 'x', but 3 by its links to 'school'"),
        (lambda: nest(x=np.zeros((4, 2))), r"'x': expected an array of shape \(pupil\), got \(4, 2"),
        (lambda: PlateData.from_arrays({"y": np.zeros((3, 4, 5, 3))}, dense_crossing()),
         r"'y': expected an array of shape \(subject, session, vertex, 2\), got \(3, 4, 5, 3\)"),
        (lambda: one_plate(lambda: Normal(0.0, 1.0), np.zeros(0)), r"plate 'n' has no rows"),
        # values
        (lambda: nest(y=[1.0, np.nan, np.nan, 0.0]), r"'y': 2 of 4 values are NaN; .*'ignore'"),
        (lambda: nest(y=[np.nan] * 4, missing="ignore"), r"'y': all 4 values are NaN"),
        (lambda: nest(x=[1.0, np.nan, 0.0, 0.0], missing="ignore"),
         r"covariate 'x': 1 of 4 values are NaN"),
        (lambda: nest(y=[1.0, np.inf, -np.inf, 0.0]), r"'y': 2 of 4 values are infinite"),
        (lambda: nest(y=[1e300, 0.0, 0.0, 0.0]), r"'y': 1 of 4 .* infinite in torch.float32"),
        (lambda: nest(y=[1, 2, 3, 4]), r"'y' is real-valued .* hold integers \(torch.int64\)"),
        (lambda: nest(x=["a", "b", "c", "d"]), r"'x': expected numbers, got an array of <U1"),
        (lambda: one_plate(lambda: Bernoulli(0.5), [0, 2]), r"'y': 1 of 2 .* Boolean.*instance 2"),
        (lambda: one_plate(lambda: Exponential(1.0), [-1.5]), r"'y': 1 of 1 .*for instance -1\.5"),
        (lambda: nest(missing="drop"), r"missing must be 'error' or 'ignore', got 'drop'"),
        # names
        (lambda: PlateData.from_arrays({}, ragged_nest()), r"no values for \['x', 'y'\]"),
        (lambda: PlateData.from_arrays({"x": [0.0], "y": [0.0], "b": [0.0]}, ragged_nest()),
         r"given for \['b'\], .* not measure; .* \['x', 'y'\]"),
        # links
        (lambda: nest(links={"school": [0]}), r"plate 'pupil' lies within \['school'\]: give links"),
        (lambda: nest(links={**NEST, "lea": [0]}), r"links given for \['lea'\]; indexed plates are"),
        (lambda: nest(links={**NEST, "pupil": [3, 0, 1, 2]}),
         r"'pupil': row 0 points to row 3 of 'school', which has rows 0 to 2"),
        (lambda: nest(links={**NEST, "pupil": [2, -1, 1, 2]}), r"row 1 points to row -1 of 'school'"),
        (lambda: nest(links={**NEST, "pupil": [2, 1, 1, 2]}),
         r"plate 'school': 1 of 3 rows have no row of 'pupil': \[0\]; leave such groups out"),
        (lambda: nest(links={**NEST, "pupil": [2.0, 0.0, 1.0, 2.0]}), r"integers .* torch.float64"),
        (lambda: PlateData.from_arrays({"y": [0.0]}, sparse_crossing(), links={"rating": [0]}),
         r"must be a mapping from each of these to row numbers, got list"),
        (lambda: PlateData.from_arrays({"y": [0.0]}, sparse_crossing(),
                                       links={"rating": {"student": [0]}}),
         r"links of plate 'rating' must name \['lecturer', 'student'\], got \['student'\]"),
        (lambda: nest(labels={"school": ["a"]}), r"labels of plate 'school': got 1 names; .*3"),
        (lambda: nest(labels={"class": ["a"]}), r"labels of plate 'class'.*plates .*'school': 3"),
        (lambda: PlateData.from_arrays({"y": [0.0]}, HierarchicalModel(
            [Plate("n"), Plate("m")], {"y": Observed(lambda: Normal(0.0, 1.0), "n")})),
         r"nothing in the data says how many rows the plates \['m'\] have"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
