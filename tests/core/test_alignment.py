"""A parent's value as its child reads it, against a plain loop over the child's rows."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from pavi.core.alignment import Alignment
from pavi.core.batch import whole
from pavi.core.plates import Plate, PlateGraph
from pavi.core.segments import Segments, gather, segment_sum

SIZES = {"subject": 2, "vertex": 3, "lea": 2, "school": 4, "pupil": 5, "student": 3, "rating": 6}
GRAPH = PlateGraph(
    [
        Plate("subject"),
        Plate("vertex"),
        Plate("lea"),
        Plate("school", within="lea"),
        Plate("pupil", within="school"),
        Plate("student"),
        Plate("rating", within=("student", "vertex")),
    ]
)
LINKS = {
    "school": {"lea": torch.tensor([1, 0, 1, 1])},
    "pupil": {"school": torch.tensor([3, 1, 0, 2, 1])},
    "rating": {
        "student": torch.tensor([2, 0, 1, 2, 0, 1]),
        "vertex": torch.tensor([0, 0, 2, 1, 1, 2]),
    },
}
BATCH = whole(SIZES, LINKS, {}, like=torch.zeros(()))


def row_of(plate, target, index):
    """The row of `plate` that a row of the target belongs to, step by step."""
    for fine, row in zip(target, index, strict=True):
        if plate == fine or plate in GRAPH.ancestors(fine):
            for child, parent in zip(
                *(GRAPH.route(fine, plate)[i:] for i in (0, 1)), strict=False
            ):
                row = LINKS[child][parent][row]
            return int(row)
    raise AssertionError(plate)


PAIRS = pytest.mark.parametrize(
    ("source", "target"),
    [
        ((), ("pupil",)),
        (("subject",), ("subject", "vertex")),
        (("vertex",), ("subject", "vertex")),
        (("vertex", "subject"), ("subject", "vertex")),
        (("school",), ("pupil",)),
        (("lea",), ("pupil",)),
        (("lea", "subject"), ("subject", "pupil")),
        (("student",), ("rating",)),
        (("vertex",), ("rating",)),
        (("student", "vertex"), ("rating",)),
        (("vertex", "student"), ("rating",)),
        (("vertex", "subject", "student"), ("subject", "rating")),
        (("subject", "vertex", "lea"), ("pupil", "rating", "subject")),
    ],
    ids=lambda plates: "-".join(plates) or "none",
)


@PAIRS
@pytest.mark.parametrize("event", [(), (2,)])
def test_alignment_reads_each_row_s_parent(source, target, event):
    alignment = Alignment.between(
        GRAPH, source, target, source_rank=len(event), target_rank=len(event)
    )
    value = torch.randn(2, *BATCH.shape(source), *event)
    aligned = alignment(value, BATCH).expand(2, *BATCH.shape(target), *event)
    for index in product(*(range(SIZES[plate]) for plate in target)):
        expected = value[(slice(None), *(row_of(plate, target, index) for plate in source))]
        assert torch.equal(aligned[(slice(None), *index)], expected)


@PAIRS
def test_the_transposed_map_is_the_adjoint(source, target):
    alignment = Alignment.between(GRAPH, source, target, source_rank=1, target_rank=1)
    value = torch.randn(2, *BATCH.shape(source), 3, dtype=torch.float64)
    other = torch.randn(2, *BATCH.shape(target), 3, dtype=torch.float64)
    left = (alignment(value, BATCH) * other).sum()
    right = (value * alignment.transposed(other, BATCH)).sum()
    torch.testing.assert_close(left, right)


def test_axes_are_inserted_in_front_of_a_smaller_event():
    alignment = Alignment.between(GRAPH, ("lea",), ("school",), source_rank=1, target_rank=2)
    assert alignment(torch.randn(3, 2, 7), BATCH).shape == (3, 4, 1, 7)


def test_a_plate_out_of_reach_is_refused():
    with pytest.raises(ValueError, match=r"plate 'pupil'.*\('school',\).*\['lea', 'school'\]"):
        Alignment.between(GRAPH, ("pupil",), ("school",), source_rank=0, target_rank=0)


def test_gathers_and_sums_over_segments_have_exact_derivatives():
    segments = Segments.of(torch.tensor([2, 0, 2, 3, 0]), 4)
    groups = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    rows = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: gather(value, 1, segments), groups)
    assert torch.autograd.gradcheck(lambda value: segment_sum(value, 1, segments), rows)
    assert not segment_sum(rows, 1, segments)[:, 1].any()
