"""Data from a long frame, and the frames that are refused."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from core.designs import ragged_nest, sparse_crossing
from torch.distributions import Normal

from pavi.core import Covariate, HierarchicalModel, Observed, Plate
from pavi.data import PlateData

PUPILS = pd.DataFrame(
    {
        "lea": ["b", "a", "b", "a", "b"],
        "school": [1, 1, 2, 1, 1],  # number 1 of "a" is not number 1 of "b"
        "x": [0.1, 0.2, 0.3, 0.4, 0.5],
        "y": [1.0, 2.0, 3.0, 4.0, 5.0],
    }
)


def crossed():
    return HierarchicalModel(
        [Plate("subject"), Plate("item")],
        {
            "age": Covariate("subject"),
            "load": Covariate("item", event_shape=(2,)),
            "scale": Covariate(),
            "y": Observed(
                lambda age, load, scale: Normal(age + load, scale), ("subject", "item"), (2,)
            ),
        },
    )


CELLS = pd.DataFrame(
    {
        "subject": ["u", "v", "u", "w", "w"],
        "item": [20, 10, 10, 20, 10],
        "age": [3.0, 4.0, 3.0, 5.0, 5.0],
        "scale": [2.0] * 5,
        "load_0": [0.2, 0.1, 0.1, 0.2, 0.1],
        "load_1": [2.0, 1.0, 1.0, 2.0, 1.0],
        "y_0": [1.0, 2.0, 3.0, 4.0, 5.0],
        "y_1": [10.0, 20.0, 30.0, 40.0, 50.0],
    }
)


def test_labels_of_a_nested_plate_count_once_per_parent():
    data = PlateData.from_frame(PUPILS, ragged_nest())
    assert data.cardinalities == {"lea": 2, "school": 3, "pupil": 5}
    assert data.labels == {"lea": ["a", "b"], "school": [1, 1, 2]}
    assert data.links["school"]["lea"].tolist() == [0, 1, 1]
    assert data.links["pupil"]["school"].tolist() == [1, 0, 2, 0, 1]
    assert data.values["y"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    "labels", [["b", "a", "c", "a"], [3, 1, 2, 1], [2.5, -1.0, 0.0, 0.0], list("öaZz")]
)
def test_labels_are_in_the_order_of_pandas(labels):
    model = HierarchicalModel(
        [Plate("g"), Plate("n", within="g")], {"y": Observed(lambda: Normal(0.0, 1.0), "n")}
    )
    data = PlateData.from_frame(pd.DataFrame({"g": labels, "y": 0.5}), model)
    expected = pd.Categorical(labels)
    assert data.labels["g"] == expected.categories.tolist()
    assert data.links["n"]["g"].tolist() == expected.codes.tolist()


def test_a_sparse_crossing():
    ratings = pd.DataFrame({"lecturer": [7, 5, 7], "student": list("ssr"), "y": [0.0, 1.0, 2.0]})
    data = PlateData.from_frame(ratings, sparse_crossing())
    assert data.labels == {"student": ["r", "s"], "lecturer": [5, 7]}
    assert data.links["rating"]["student"].tolist() == [1, 1, 0]
    assert data.links["rating"]["lecturer"].tolist() == [1, 0, 1]


def test_a_dense_crossing_is_pivoted_and_its_missing_cells_are_left_out():
    data = PlateData.from_frame(CELLS, crossed(), missing="ignore")
    assert data.labels == {"subject": ["u", "v", "w"], "item": [10, 20]}
    assert data.values["age"].tolist() == [3.0, 4.0, 5.0]
    assert data.values["load"].tolist() == torch.tensor([[0.1, 1.0], [0.2, 2.0]]).tolist()
    assert data.values["scale"].tolist() == 2.0
    assert data.present["y"].tolist() == [[True, True], [True, False], [True, True]]
    assert data.values["y"][..., 0][data.present["y"]].tolist() == [3.0, 1.0, 2.0, 5.0, 4.0]
    assert data.values["y"][0, 1].tolist() == [1.0, 10.0]


def test_the_order_of_the_rows_does_not_matter_for_a_full_crossing():
    full = pd.concat([CELLS, CELLS.iloc[1:2].assign(item=20, load_0=0.2, load_1=2.0)])
    one, other = (PlateData.from_frame(f, crossed()) for f in (full, full.iloc[::-1]))
    for name, value in one.values.items():
        assert torch.equal(value, other.values[name])


@pytest.mark.parametrize(
    ("frame", "model", "message"),
    [
        (PUPILS.drop(columns="lea"), ragged_nest,
         r"no column for plate 'lea'; columns are \['school', 'x', 'y'\]"),
        (PUPILS.drop(columns="y"), ragged_nest,
         r"lacks the columns \['y'\] of 'y'; columns are \['lea', 'school', 'x'\]"),
        (CELLS.drop(columns=["load_1", "y_0"]), crossed, r"the columns \['y_0'\] of 'y'"),
        (CELLS.drop(columns="item"), crossed, r"no column for plate 'item', which 'y' crosses"),
        (CELLS, crossed, r"'y': 2 of 12 values are NaN"),
        (CELLS.assign(age=[3.0, 4.0, 3.5, 5.0, 5.0]), crossed,
         r"column 'age' varies within one row of its plates \(subject 'u'\).*row 0 .* 3\.0, "
         r"row 2 has 3\.5"),
        (CELLS.assign(scale=range(5)), crossed, r"'scale' varies within .* \(the whole frame\)"),
        (CELLS.assign(item=10, load_0=0.1, load_1=1.0), crossed,
         r"'y' varies within one row of its plates \(subject 'u', item "),
        (PUPILS.assign(lea=["a", None, "b", None, "b"]), ragged_nest,
         r"plate 'lea': 2 rows of the frame have no label; the first is row 1"),
        (PUPILS.assign(lea=pd.array(["a", "b", pd.NA, "b", "b"], dtype="string")), ragged_nest,
         r"plate 'lea': 1 rows of the frame have no label; the first is row 2"),
        (PUPILS.assign(lea=pd.Series(["a", 1, "a", 1, 1], dtype=object)), ragged_nest,
         r"plate 'lea': its labels cannot be put in order, .* types \['int', 'str'\]"),
        (PUPILS.assign(y=[1, 2, 3, 4, 5]), ragged_nest, r"'y' is real-valued .* integers"),
        (PUPILS.assign(y=np.inf), ragged_nest, r"'y': 5 of 5 values are infinite"),
        (PUPILS.assign(x=list("abcde")), ragged_nest, r"'x': expected numbers, got an array of"),
        (PUPILS.assign(x=["1,5", "2", "3", "4", "5"]), ragged_nest,
         r"column 'x': expected numbers.* row 0 of the frame has '1,5'\. .* decimal=','"),
        (PUPILS.assign(x=["1", "2", "n/a?", "4,5", "5"]), ragged_nest,
         r"column 'x': expected numbers.* row 2 of the frame has 'n/a\?'\. .* labels of a plate"),
        (PUPILS.assign(x=pd.Series([1.5, "2", 3, 4, 5], dtype=object)), ragged_nest,
         r"column 'x': expected numbers.* row 1 of the frame has '2'\. .* pandas.to_numeric"),
        (PUPILS.assign(x=pd.array([1.0, None, 3.0, 4.0, 5.0], dtype="Float64")), ragged_nest,
         r"covariate 'x': 1 of 5 values are NaN"),
        (CELLS.assign(age=[3.0, 4.0, np.nan, 5.0, 5.0]), crossed,
         r"column 'age' has a missing value in row 2 of the frame; row 0, .* \(subject 'u'\), has 3"),
        (CELLS.assign(age=[np.nan, 4.0, 3.0, 5.0, 5.0]), crossed,
         r"column 'age' has a missing value in row 0 of the frame; row 2, "),
        (pd.concat([PUPILS, PUPILS[["y"]]], axis=1), ragged_nest,
         r"the frame has 2 columns named 'y'; columns are \['lea', 'school', 'x', 'y', 'y'\]"),
        (pd.concat([PUPILS, PUPILS[["lea"]]], axis=1), ragged_nest, r"has 2 columns named 'lea'"),
        ("data.csv", ragged_nest, r"must have columns.* got 'data.csv': read the file first"),
        ({"y": [1.0]}, ragged_nest, r"must have columns.* got a dict: make it one, .*from_arrays"),
        (PUPILS["y"], ragged_nest, r"must have columns.* got a Series"),
        (PUPILS.iloc[:0], ragged_nest, r"the frame has no rows"),
    ],
)  # fmt: skip
def test_frames_that_do_not_fit_are_refused(frame, model, message):
    with pytest.raises(ValueError, match=message):
        PlateData.from_frame(frame, model())


def test_numbers_that_pandas_holds_as_objects_are_numbers():
    nullable = PUPILS.assign(y=pd.array([1.0, None, 3.0, 4.0, 5.0], dtype="Float64"))
    data = PlateData.from_frame(nullable, ragged_nest(), missing="ignore")
    assert data.present["y"].tolist() == [True, False, True, True, True]
    decimals = PlateData.from_frame(PUPILS.assign(x=[Decimal(i) for i in range(5)]), ragged_nest())
    assert decimals.values["x"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_data_are_shown_in_a_line():
    data = PlateData.from_frame(PUPILS, ragged_nest())
    assert repr(data) == "PlateData(plates: lea 2, school 3, pupil 5; values: y, x)"
