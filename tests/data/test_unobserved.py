"""Data to predict: covariates and groups, and nothing measured."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from core.designs import dense_crossing, ragged_nest

import pavi
from pavi.data import PlateData

FRAME = pd.DataFrame({"lea": ["b", "a", "b"], "school": [1, 1, 2], "x": [0.1, 0.2, 0.3]})


def test_a_frame_needs_no_observed_columns():
    data = PlateData.from_frame(FRAME, ragged_nest(), observed=False)
    full = PlateData.from_frame(FRAME.assign(y=0.0), ragged_nest())
    assert list(data.values) == ["x"]
    assert data.cardinalities == full.cardinalities
    assert data.labels == full.labels
    assert torch.equal(data.links["pupil"]["school"], full.links["pupil"]["school"])
    # Those that are there are not read.
    assert list(
        PlateData.from_frame(FRAME.assign(y="?"), ragged_nest(), observed=False).values
    ) == ["x"]


def test_labels_say_how_many_rows_there_are():
    labels = {"subject": ["s", "t"], "session": [1], "vertex": range(3)}
    data = PlateData.from_arrays(
        {}, dense_crossing(), labels={p: list(n) for p, n in labels.items()}, observed=False
    )
    assert data.cardinalities == {"subject": 2, "session": 1, "vertex": 3}


def test_a_frame_says_how_many_rows_there_are_without_covariates():
    frame = pd.DataFrame({"subject": ["s", "t", "t"], "session": 1, "vertex": [4, 4, 5]})
    data = PlateData.from_frame(frame, dense_crossing(), observed=False)
    assert data.cardinalities == {"subject": 2, "session": 1, "vertex": 2}


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: PlateData.from_frame(FRAME.drop(columns="x"), ragged_nest(), observed=False),
         r"the frame lacks the columns \['x'\] of 'x'; columns are \['lea', 'school'\]"),
        (lambda: PlateData.from_frame(FRAME.assign(x=[0.1, None, 0.3]), ragged_nest(), observed=False),
         r"covariate 'x': 1 of 3 values are NaN"),
        (lambda: PlateData.from_arrays({}, ragged_nest(), observed=False),
         r"no values for the covariates \['x'\], which a prediction needs; .*\['x'\], got \[\]"),
        (lambda: PlateData.from_arrays({"x": torch.zeros(2), "y": torch.zeros(2)}, ragged_nest(), observed=False),
         r"values given for the observed sites \['y'\] with observed=False"),
        (lambda: PlateData.from_arrays({}, dense_crossing(), observed=False),
         r"nothing in the data says how many rows the plates \['subject', .* have; give labels"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(read, message):
    with pytest.raises(ValueError, match=message):
        read()


def test_a_fit_wants_observed_values():
    data = PlateData.from_frame(FRAME, ragged_nest(), observed=False)
    with pytest.raises(ValueError, match=r"the data hold no values of \['y'\]"):
        pavi.fit(data.model, data)
