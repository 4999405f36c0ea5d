"""The cells of a table, and the first of them that a model cannot take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch

from pavi.cli.columns import Column
from pavi.core.supports import in_words

if TYPE_CHECKING:
    import pandas as pd


@final
@dataclass(frozen=True)
class Fault:
    """A cell that is at fault.

    Args:
        row: Counted from 0, below the header.
        column: The column.
        told: What was expected, what was got, what to do.
        more: How many more cells of the column are at fault in the same way.
    """

    row: int
    column: str
    told: str
    more: int


def first_fault(
    frame: pd.DataFrame, columns: Sequence[Column], *, decimal: str, missing: str
) -> Fault | None:
    """The first column with a label that is absent or a value that is no number, if any.

    Args:
        frame: The table.
        columns: Those that the model asks for; of the others nothing is checked.
        decimal: The decimal mark.
        missing: Whether empty cells of observed sites are an `"error"`.
    """
    faults = (
        fault
        for column in columns
        if column.name in frame.columns
        for fault in _faults(frame[column.name], column, decimal=decimal, missing=missing)
    )
    return next(faults, None)


def _faults(cells: Any, column: Column, *, decimal: str, missing: str) -> Iterator[Fault]:
    empty = cells.isna().to_numpy()
    if column.kind == "labels":
        yield from _at(
            empty,
            column,
            f"expected which {column.site}, got nothing; fill it in, or delete the line.",
        )
        return
    import pandas as pd

    numbers = pd.to_numeric(cells, errors="coerce")
    words = (numbers.isna() & cells.notna()).to_numpy()
    if words.any():
        got = str(cells.iloc[int(words.argmax())])
        hint = _hint(got, decimal=decimal)
        yield from _at(words, column, f"expected a number, got {got!r}; {hint}.")
    if column.kind == "covariate":
        hint = "fill it in, or delete the line"
        yield from _at(empty, column, f"expected a number, got nothing; {hint}.")
    elif missing == "error":
        hint = (
            "fill it in, delete the line, or give --missing ignore to leave empty cells out of "
            "the likelihood"
        )
        yield from _at(empty, column, f"expected a number, got nothing; {hint}.")
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    told = "expected a finite number, got an infinite one; correct it, or delete the line."
    yield from _at(np.isinf(values), column, told)
    if column.support is not None:
        inside = column.support.check(torch.tensor(values)).numpy()
        outside = ~inside & ~np.isnan(values)
        got = f"{values[int(outside.argmax())]:g}"
        support = in_words(column.support)
        told = f"expected a value in the support of its distribution ({support}), got {got}."
        yield from _at(outside, column, told)


def _at(wrong: np.ndarray, column: Column, told: str) -> Iterator[Fault]:
    """The first cell that is wrong, if one is."""
    if wrong.any():
        yield Fault(int(wrong.argmax()), column.name, told, int(wrong.sum()) - 1)


def _hint(got: str, *, decimal: str) -> str:
    """What to do about a text in place of a number."""
    other = "," if decimal == "." else "."
    if got.count(other) == 1 and got.replace(other, "").lstrip("+-").isdigit():
        return f"give --decimal {other!r} if that is the decimal mark"
    if not any(character.isalnum() for character in got):
        return "leave a cell empty where its value is missing"
    return "categories are labels of a plate or columns of 0 and 1"
