"""Reading a long data frame: labels become row numbers, columns become arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from pavi.core import HierarchicalModel
from pavi.data.columns import blank, check_frame, column, number_column
from pavi.data.labels import plain_labels

if TYPE_CHECKING:
    import pandas as pd


@final
@dataclass(frozen=True)
class _Coded:
    """A plate's column: its distinct labels and, per row of the frame, which one it is."""

    labels: np.ndarray
    codes: np.ndarray
    first: np.ndarray  # a row of the frame that holds each label


@final
@dataclass(frozen=True)
class FrameRead:
    """What `read_frame` found, as `PlateData.from_arrays` takes it, and the plates' rows."""

    arrays: dict[str, np.ndarray]
    links: dict[str, dict[str, np.ndarray]]
    labels: dict[str, Sequence[Any]]
    sizes: dict[str, int]


def read_frame(
    frame: pd.DataFrame, model: HierarchicalModel, *, observed: bool = True
) -> FrameRead:
    """See `PlateData.from_frame`."""
    check_frame(frame)
    if not len(frame):
        raise ValueError("the frame has no rows.")
    coded: dict[str, _Coded] = {}
    for name in model.plates:
        coded[name] = _code(frame, name, model, coded)
    links = {
        name: {parent: coded[parent].codes[coded[name].first] for parent in plate.within}
        for name, plate in model.plates.items()
        if plate.within
    }
    measured = (*(model.observed if observed else ()), *model.covariates)
    return FrameRead(
        arrays={name: _array(frame, name, model, coded) for name in measured},
        links=links,
        labels={
            name: plain_labels(name, coded[name].labels)
            for name in model.plates
            if name in frame.columns
        },
        sizes={name: len(plate.labels) for name, plate in coded.items()},
    )


def needs_labels(model: HierarchicalModel, plate: str) -> bool:
    """Whether a frame must have a column for a plate: others lie within it or cross it."""
    return bool(model.plates.children(plate) or _crossing(model, plate))


def _crossing(model: HierarchicalModel, plate: str) -> list[str]:
    """The sites that lie on a plate and on another one."""
    return [
        name for name, site in model.sites.items() if plate in site.plates and len(site.plates) > 1
    ]


def _code(
    frame: pd.DataFrame, name: str, model: HierarchicalModel, coded: dict[str, _Coded]
) -> _Coded:
    rows = np.arange(len(frame))
    if name not in frame.columns:
        if model.plates.children(name):
            raise ValueError(
                f"the frame has no column for plate {name!r}; columns are {list(frame.columns)}."
            )
        if shared := _crossing(model, name):
            raise ValueError(
                f"the frame has no column for plate {name!r}, which {shared[0]!r} crosses with "
                f"others; columns are {list(frame.columns)}."
            )
        return _Coded(rows, rows, rows)
    given = column(frame, name)
    if (absent := blank(given)).any():
        raise ValueError(
            f"plate {name!r}: {int(absent.sum())} rows of the frame have no label; "
            f"the first is row {int(absent.argmax())}."
        )
    try:
        labels, codes = np.unique(given, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in given})
        raise ValueError(
            f"plate {name!r}: its labels cannot be put in order, they are of the types {kinds}; "
            "make them all of one type."
        ) from error
    # A label counts once per parent: "class 1" of two schools are two rows.
    keys = [coded[parent].codes for parent in reversed(model.plates[name].within)]
    distinct, first, codes = np.unique(
        np.stack([codes, *reversed(keys)]), axis=1, return_index=True, return_inverse=True
    )
    return _Coded(labels[distinct[0]], codes.reshape(-1), first)


def _array(
    frame: pd.DataFrame, name: str, model: HierarchicalModel, coded: dict[str, _Coded]
) -> np.ndarray:
    site = model.sites[name]
    given = _values(frame, name, site.event_shape)
    shape: tuple[int, ...] = ()
    if not site.plates:
        codes = np.zeros(len(frame), dtype=np.int64)
    else:
        shape = tuple(len(coded[plate].labels) for plate in site.plates)
        codes = np.ravel_multi_index([coded[plate].codes for plate in site.plates], shape)
    cells, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    varies = ~_same(given, given[first][inverse.reshape(-1)])
    if varies.any():
        row = int(varies.argmax())
        other = first[inverse.reshape(-1)[row]]
        where = ", ".join(f"{p} {coded[p].labels[coded[p].codes[row]]!r}" for p in site.plates)
        where = where or "the whole frame"
        for one, present in ((row, other), (other, row)):
            if np.isnan(given[one]).any() and not np.isnan(given[present]).any():
                raise ValueError(
                    f"column {name!r} has a missing value in row {one} of the frame; row "
                    f"{present}, of the same row of its plates ({where}), has {given[present]}. "
                    "Fill it in, or drop the row."
                )
        raise ValueError(
            f"column {name!r} varies within one row of its plates ({where}): "
            f"row {other} of the frame has {given[other]}, row {row} has {given[row]}."
        )
    if len(cells) == int(np.prod(shape)):
        return given[first].reshape((*shape, *site.event_shape))
    full = np.full((int(np.prod(shape)), *site.event_shape), np.nan)
    full[cells] = given[first]
    return full.reshape((*shape, *site.event_shape))


def _values(frame: pd.DataFrame, name: str, event_shape: tuple[int, ...]) -> np.ndarray:
    names = [name]
    if event_shape:
        names = [f"{name}_{i}" for i in range(int(np.prod(event_shape)))]
    if absent := [n for n in names if n not in frame.columns]:
        raise ValueError(
            f"the frame lacks the columns {absent} of {name!r}; columns are {list(frame.columns)}."
        )
    columns = [number_column(frame, n) for n in names]
    return np.stack(columns, axis=-1).reshape(-1, *event_shape) if event_shape else columns[0]


def _same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    same = (one == other) | ((one != one) & (other != other))
    return same.reshape(len(one), -1).all(axis=1)
