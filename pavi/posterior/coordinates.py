"""Plates as named dimensions: one label per row, all of them different."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, final

import numpy as np

from pavi.core import HierarchicalModel
from pavi.data import PlateData

SAMPLE_DIMS = ("chain", "draw")


@final
class RowLabels(Mapping[str, np.ndarray]):
    """Per plate `labels`, made when they are first asked for.

    Args:
        data: The data.

    Raises:
        KeyError: From `[plate]`, if there is no such plate.
    """

    def __init__(self, data: PlateData) -> None:
        self._data, self._made = data, dict[str, np.ndarray]()

    def __getitem__(self, plate: str) -> np.ndarray:
        if plate not in self._data.model.plates:
            raise KeyError(f"there is no plate {plate!r}; the plates are {list(self)}.")
        if plate not in self._made:
            self._made[plate] = labels(self._data, plate)
        return self._made[plate]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data.model.plates)

    def __len__(self) -> int:
        return len(self._data.model.plates)

    def __repr__(self) -> str:
        lines = (f"{p}: {len(own):,} rows, {_ends(own.tolist())}" for p, own in self.items())
        return "\n".join(("RowLabels(", *(f"  {line}" for line in lines), ")"))


def coordinates(data: PlateData, *, draws: int) -> dict[str, np.ndarray]:
    """The coordinates of one chain of draws and of every plate, see `labels`."""
    found = {"chain": np.arange(1), "draw": np.arange(draws)}
    return found | {plate: labels(data, plate) for plate in data.model.plates}


def parent_coordinates(data: PlateData) -> dict[str, tuple[str, np.ndarray]]:
    """Which row of each plate above a row lies in, as `school_of_pupil`, along the finer plate."""
    graph = data.model.plates
    named = {plate: labels(data, plate) for plate in graph}
    return {
        f"{coarse}_of_{fine}": (fine, named[coarse][data.parent_rows(fine, coarse)])
        for fine in graph
        for coarse in graph
        if coarse in graph.ancestors(fine)
    }


def dimensions(model: HierarchicalModel, site: str) -> list[str]:
    """The names of the axes of one draw of a site: plates, then axes of the value."""
    spec = model.sites[site]
    return [*spec.plates, *(f"{site}_dim_{axis}" for axis in range(len(spec.event_shape)))]


def event_coordinates(model: HierarchicalModel, sites: Sequence[str]) -> dict[str, np.ndarray]:
    """The coordinates of the axes of values: numbers from zero."""
    return {
        f"{site}_dim_{axis}": np.arange(size)
        for site in sites
        for axis, size in enumerate(model.sites[site].event_shape)
    }


def check_names(model: HierarchicalModel) -> None:
    """No two things of a model would have the same name in a labelled array.

    Raises:
        ValueError: If two would.
    """
    graph = model.plates
    taken = [*SAMPLE_DIMS, *graph]
    taken += [f"{c}_of_{fine}" for fine in graph for c in graph if c in graph.ancestors(fine)]
    clashes = [("plate", plate) for plate in graph if plate in SAMPLE_DIMS]
    clashes += [("site", site) for site in model.sites if site in taken]
    for kind, name in clashes:
        raise ValueError(
            f"{name!r} is the name of a {kind} of the model and of a dimension or coordinate of "
            f"the export, which has {taken}; rename the {kind}."
        )


def labels(data: PlateData, plate: str) -> np.ndarray:
    """A name for every row of a plate, in the order of the rows; no two are the same.

    They are the labels of the data, or the numbers of the rows where there are none. Labels of a
    nested plate that repeat in different parents get those of the rows above in front, as `a/1`.

    Args:
        data: The data.
        plate: The plate.
    """
    if plate not in data.labels:
        return np.arange(data.cardinalities[plate])
    own = data.labels[plate]
    array = _array(own)
    if len(np.unique(array)) == len(array):
        return array
    names = data.names(plate)
    if names is not None:
        array = _texts("/".join(_path(name)) for name in names)
    if names is None or len(np.unique(array)) < len(array):
        # Nothing above tells these rows apart: their numbers do.
        array = _texts(f"{_text(label)}#{row}" for row, label in enumerate(own))
    return array


def _ends(names: Sequence[Any]) -> str:
    """The first ones and the last, where there are more than a few."""
    if len(names) <= 4:
        return ", ".join(map(repr, names))
    return f"{names[0]!r}, {names[1]!r}, ..., {names[-1]!r}"


def _array(labels: Sequence[Any]) -> np.ndarray:
    """Labels of one kind in the type of this kind, others as texts."""
    kinds = {type(label) for label in labels}
    if len(kinds) == 1 and kinds <= {bool, int, float}:
        array = np.array(labels)
        if array.dtype.kind != "O":  # as integers of any length are
            return array
    if kinds <= {datetime, date} and all(getattr(n, "tzinfo", None) is None for n in labels):
        return np.array(labels, dtype="datetime64[us]")
    return _texts(_text(label) for label in labels)


def _texts(texts: Iterable[str]) -> np.ndarray:
    """As objects: zarr has no stable form for numpy's own texts of fixed length."""
    return np.array(list(texts), dtype=object)


def _path(name: Any) -> Iterator[str]:
    """The texts of a name, which is a label and the names of the rows above, outermost first."""
    own, *above = name
    for parent in above:
        yield from _path(parent)
    yield _text(own)


def _text(label: Any) -> str:
    return "/".join(_text(part) for part in label) if isinstance(label, tuple) else str(label)
