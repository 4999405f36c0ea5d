"""Columns of a data frame as arrays of numbers or labels."""

from __future__ import annotations

from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np


def check_frame(frame: Any) -> None:
    """A frame has columns.

    Raises:
        ValueError: If this is something else, such as the name of a file.
    """
    if hasattr(frame, "columns") and hasattr(frame, "__getitem__"):
        return
    if isinstance(frame, str):
        got, hint = repr(frame), "read the file first, as with pandas.read_csv"
    else:
        got = f"a {type(frame).__name__}"
        hint = "make it one, as with pandas.DataFrame, or give arrays to PlateData.from_arrays"
    raise ValueError(
        f"the frame must have columns, as one of pandas or polars; got {got}: {hint}."
    )


def column(frame: Any, name: str) -> np.ndarray:
    """One column.

    Raises:
        ValueError: If several columns have this name.
    """
    found = frame[name].to_numpy()
    if found.ndim != 1:
        raise ValueError(
            f"the frame has {found.shape[1]} columns named {name!r}; "
            f"columns are {list(frame.columns)}."
        )
    return found


def number_column(frame: Any, name: str) -> np.ndarray:
    """One column of numbers; those that pandas holds as objects too, their blanks as NaN.

    Raises:
        ValueError: If a value is no number, with one that is not.
    """
    found = column(frame, name)
    if found.dtype.kind in "biuf":
        return found
    numbers: list[float] = []
    values = found.tolist() if found.dtype.kind == "O" else list(found)
    # One word makes a column text, its numbers too: the word is what is to be mended.
    words = [v for v in values if isinstance(v, str) and not _is_number(v.replace(",", "."))]
    for row, value in enumerate(values):
        if words and isinstance(value, str) and value != words[0]:
            continue
        if is_blank(value):
            numbers.append(np.nan)
        elif isinstance(value, Integral | np.bool_):
            numbers.append(int(value))
        elif isinstance(value, Real | Decimal):
            numbers.append(float(value))
        else:
            raise ValueError(
                f"column {name!r}: expected numbers, got an array of {found.dtype}; row {row} of "
                f"the frame has {value!r}. {_remedy(value)}"
            )
    return np.array(numbers)


def blank(labels: np.ndarray) -> np.ndarray:
    """Where a column has no label."""
    return np.array([is_blank(value) for value in labels], dtype=bool)


def is_blank(value: Any) -> bool:
    """Whether this is no value: None, or NaN, the one value that differs from itself."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas' NA has no truth value
        return True


def _remedy(value: Any) -> str:
    text = str(value)
    if text.count(",") == 1 and _is_number(text.replace(",", ".")):
        return "Read the file with decimal commas, as pandas.read_csv does with decimal=','."
    if _is_number(text):
        return "Make the texts numbers, as with pandas.to_numeric."
    return "Give categories as the labels of a plate or as 0/1 columns."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
