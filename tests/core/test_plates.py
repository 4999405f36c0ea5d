"""How plates lie within one another."""

from __future__ import annotations

import pytest

from pavi.core.plates import Plate, PlateGraph

NEST = [Plate("pupil", within="school"), Plate("school", within="lea"), Plate("lea")]
CROSSING = [
    Plate("rating", within=("student", "course")),
    Plate("course", within="faculty"),
    *(Plate(name) for name in ("student", "faculty", "item")),
]
DIAMOND = [
    Plate("lea"),
    Plate("school", within="lea"),
    Plate("home", within="lea"),
    Plate("pupil", within=("school", "home")),
]


@pytest.mark.parametrize(
    ("plates", "fine", "coarse", "route"),
    [
        (NEST, "pupil", "pupil", ("pupil",)),
        (NEST, "pupil", "school", ("pupil", "school")),
        (NEST, "pupil", "lea", ("pupil", "school", "lea")),
        (CROSSING, "rating", "student", ("rating", "student")),
        (CROSSING, "rating", "faculty", ("rating", "course", "faculty")),
    ],
)
def test_route(plates, fine, coarse, route):
    assert PlateGraph(plates).route(fine, coarse) == route


def test_coarser_plates_come_first():
    assert list(PlateGraph(NEST)) == ["lea", "school", "pupil"]


@pytest.mark.parametrize(
    ("names", "closure"),
    [
        ([], set()),
        (["lea"], {"lea"}),
        (["course"], {"course", "faculty"}),
        (["rating", "item"], {"rating", "student", "course", "faculty", "item"}),
    ],
)
def test_closure(names, closure):
    assert PlateGraph([*CROSSING, Plate("lea")]).closure(names) == closure


def test_ancestors_descendants_and_children():
    graph = PlateGraph(CROSSING)
    assert graph.ancestors("rating") == {"student", "course", "faculty"}
    assert graph.descendants("faculty") == {"course", "rating"}
    assert graph.children("faculty") == ("course",)


def test_two_ways_up_are_refused():
    ways = "pupil -> school -> lea and pupil -> home -> lea"
    with pytest.raises(ValueError, match=rf"'pupil' lies within 'lea' in more than one .*{ways}"):
        PlateGraph(DIAMOND).route("pupil", "lea")


@pytest.mark.parametrize(
    ("plates", "message"),
    [
        ([Plate("a"), Plate("b"), Plate("a")], r"given twice: \['a'\]"),
        ([Plate("a"), Plate("b", within="c")], r"'b' lies within 'c'.*plates are \['a', 'b'\]"),
        ([Plate("a", within="a")], r"in a circle: a -> a"),
        ([Plate("a", within="b"), Plate("b", within="a")], r"circle: (a -> b -> a|b -> a -> b)"),
    ],
)
def test_plates_that_make_no_graph_are_refused(plates, message):
    with pytest.raises(ValueError, match=message):
        PlateGraph(plates)


def test_a_name_must_be_an_identifier():
    with pytest.raises(ValueError, match=r"plate 'a b': a name must be a Python identifier"):
        Plate("a b")
