"""The cells of a table, each of which a message can point to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pavi.cli.columns import Column
from pavi.core import HierarchicalModel

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


class Source(Protocol):
    """Where a table comes from."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def decimal(self) -> str:
        """The decimal mark."""

    @property
    def missing(self) -> str:
        """What to do about empty cells of observed sites."""

    def line(self, row: int) -> int | None:
        """The line where a row begins."""


def check_cells(
    frame: pd.DataFrame, model: HierarchicalModel, columns: Sequence[Column], *, source: Source
) -> None:
    """Labels are there, values are numbers that the model can take.

    Args:
        frame: The table.
        model: The template.
        columns: Those that the model asks for; of the others nothing is checked.
        source: Where the table comes from.

    Raises:
        ValueError: At the first cell that is at fault, with its row, line and column.
    """
    for column in columns:
        if column.name not in frame.columns:
            continue
        cells = frame[column.name]
        empty = cells.isna().to_numpy()
        if column.kind == "labels":
            _refuse(empty, column, cells, source, f"expected which {column.site}, got nothing")
            continue
        numbers = _numbers(cells, column, source)
        if column.kind == "covariate":
            told = "expected a number, got nothing; fill it in or delete the line"
            _refuse(empty, column, cells, source, told)
        elif source.missing == "error":
            told = (
                "expected a number, got nothing; fill it in, delete the line, or give "
                "--missing ignore to leave empty cells out of the likelihood"
            )
            _refuse(empty, column, cells, source, told)
        _refuse(np.isinf(numbers), column, cells, source, "expected a finite number")


def _numbers(cells: Any, column: Column, source: Source) -> np.ndarray:
    """A column as numbers, its empty cells as NaN."""
    import pandas as pd

    numbers = pd.to_numeric(cells, errors="coerce")
    words = (numbers.isna() & cells.notna()).to_numpy()
    told = "expected a number"
    if words.any():
        text = str(cells.iloc[int(words.argmax())])
        other = "," if source.decimal == "." else "."
        if text.count(other) == 1 and text.replace(other, "").lstrip("+-").isdigit():
            told += f"; give --decimal {other!r} if that is the decimal mark"
        elif not any(character.isalnum() for character in text):
            told += "; leave a cell empty where its value is missing"
        else:
            told += "; categories are labels of a plate or columns of 0 and 1"
    _refuse(words, column, cells, source, told)
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def _refuse(wrong: np.ndarray, column: Column, cells: Any, source: Source, told: str) -> None:
    """Raise at the first cell that is wrong."""
    if not wrong.any():
        return
    row, count = int(wrong.argmax()), int(wrong.sum())
    line = source.line(row)
    where = f"row {row + 1}" + (f" (line {line})" if line is not None else "")
    expected, semicolon, hint = told.partition("; ")
    if not expected.endswith("nothing"):
        expected += f", got {cells.iloc[row]!r}"
    more = f" {count - 1:,} more such cells are in this column." if count > 1 else ""
    raise ValueError(
        f"{source.path}, {where}, column {column.name!r}: {expected}{semicolon}{hint}.{more}"
    )
