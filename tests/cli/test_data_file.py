"""CSV files, and what is wrong with them: the message names the row and the column."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.distributions import Normal, Poisson

from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate
from pavi.cli.columns import expected_columns
from pavi.cli.data_file import DataFile

GOOD = "school,gcse,score\na,0.5,1\nb,1.5,2\n\na,2.5,3\n"


def schools(likelihood=lambda b, gcse: Poisson((b + gcse).exp())):
    return HierarchicalModel(
        [Plate("school"), Plate("pupil", within="school")],
        {
            "b": Latent(lambda: Normal(0.0, 1.0), "school"),
            "gcse": Covariate("pupil"),
            "score": Observed(likelihood, "pupil"),
        },
    )


def read(folder: Path, text: str | bytes, **options):
    path = folder / "t.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return DataFile(path, **options).read(schools())


def test_a_table_is_read(tmp_path):
    data = read(tmp_path, GOOD)
    assert data.cardinalities == {"school": 2, "pupil": 3}
    assert data.values["gcse"].tolist() == [0.5, 1.5, 2.5]
    assert data.links["pupil"]["school"].tolist() == [0, 1, 0]
    assert list(data.labels["school"]) == ["a", "b"]


def test_other_separators_marks_and_a_byte_order_mark(tmp_path):
    text = "\ufeff" + GOOD.replace(",", ";").replace(".", ",")
    data = read(tmp_path, text, separator=";", decimal=",")
    assert data.values["gcse"].tolist() == [0.5, 1.5, 2.5]


def test_empty_cells_may_be_left_out(tmp_path):
    data = read(tmp_path, GOOD.replace("1.5,2", "1.5,"), missing="ignore")
    assert data.present["score"].tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2.5,3", "2.5,three", r"t.csv, row 3 \(line 5\), column 'score': expected a number, got "
         r"'three'; categories are labels of a plate or columns of 0 and 1\.$"),
        ("1.5,2", "1.5,.", r"row 2 \(line 3\), column 'score': .* got '\.'; leave a cell empty"),
        ("1.5,2", '"1,5",2', r"row 2 .*column 'gcse': .*got '1,5'; give --decimal ',' if that is"),
        ("1.5,2", ",2", r"row 2 \(line 3\), column 'gcse': expected a number, got nothing; fill"),
        ("1.5,2", "1.5,", r"row 2 .*column 'score': .*got nothing; .*give --missing ignore"),
        ("b,1.5", ",1.5", r"row 2 .*column 'school': expected which school, got nothing; fill it in"),
        ("1.5,2", "1.5,inf", r"row 2 .*column 'score': expected a finite number, got an inf"),
        ("a,", ",", r"row 1 \(line 2\), column 'school': .* 1 more such cells are in this column"),
        ("1.5,2", "1.5,-2", r"row 2 .*support of its distribution \(0, 1, 2, \.\.\.\), got -2\."),
        ("1.5,2", "1.5,2,7", r"t.csv is no table: Expected 3 fields in line 3, saw 4"),
        ("school,gcse", "school,gcs", r"has no column 'gcse' \(a covariate, one number per pupil\)"
         r", like 'gcs'\?\. Its columns are \['school', 'gcs', 'score'\]"),
        ("school,", "pupil,", r"has no column 'school' \(which school a line belongs to\)\. Its"),
        ("school,gcse", "gcse,gcse", r"two columns are called 'gcse'"),
        (GOOD, "", r"t.csv is empty"),
        (GOOD, "school,gcse,score\n", r"has a header and no rows"),
        (GOOD, "school,gcse\na,1,2\nb,1,2\n", r"more cells than its header has names"),
        (GOOD, GOOD.replace(",", ";"), r"is one column, in which ';' .*; give --separator ';'"),
        (GOOD, GOOD.replace(",", "\t"), r"is one column, .*; give --separator tab"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_told(tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, GOOD.replace(old, new))


def test_a_file_of_another_encoding_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"is not UTF-8 \(invalid .* byte 18\); save it as UTF-8"):
        read(tmp_path, GOOD.replace("a,0.5", "\xe9,0.5").encode("latin-1"))


def test_the_line_counts_breaks_within_cells(tmp_path):
    text = 'school,gcse,score\n"a\nb",0.5,1\n\na,x,2\n'
    with pytest.raises(ValueError, match=r"row 2 \(line 5\), column 'gcse'"):
        read(tmp_path, text)


def test_what_varies_within_a_group_is_told_with_the_file(tmp_path):
    model = HierarchicalModel(
        [Plate("school"), Plate("pupil", within="school")],
        {
            "size": Covariate("school"),
            "b": Latent(lambda size: Normal(size, 1.0), "school"),
            "y": Observed(lambda b: Normal(b, 1.0), "pupil"),
        },
    )
    path = tmp_path / "t.csv"
    path.write_text("school,size,y\na,1,1\na,2,1\n")
    message = r"t.csv: column 'size' varies .*row 0 .*row 1 .* Its rows count from 0, below the"
    with pytest.raises(ValueError, match=message):
        DataFile(path).read(model)


def test_a_file_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"there is no file t.csv in /"):
        DataFile(Path("t.csv")).read(schools())
    with pytest.raises(ValueError, match=r"is a folder; the data stand in a CSV file"):
        DataFile(tmp_path).read(schools())


def test_vectors_have_a_column_per_component_and_crossings_need_labels():
    model = HierarchicalModel(
        [Plate("person"), Plate("day")],
        {"x": Observed(lambda: Normal(torch.zeros(2), 1.0), ("person", "day"), event_shape=(2,))},
    )
    found = [(column.name, column.required) for column in expected_columns(model)]
    assert found == [("person", True), ("day", True), ("x_0", True), ("x_1", True)]
    nested = [(column.name, column.required) for column in expected_columns(schools())]
    assert nested[:2] == [("school", True), ("pupil", False)]
