"""Data that stand in a CSV file."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, final

from pavi.cli.cells import first_fault
from pavi.cli.columns import Column, expected_columns
from pavi.core import HierarchicalModel
from pavi.data import PlateData
from pavi.files import sha256_of

if TYPE_CHECKING:
    import pandas as pd

OTHER_SEPARATORS = {";": "';'", "\t": "tab"}  # and how the command line is given them


@final
@dataclass(frozen=True)
class DataFile:
    """A CSV file with one line per row of the finest plate.

    Args:
        path: The file.
        separator: Between the cells of a line.
        decimal: The decimal mark.
        missing: What to do about empty cells of observed sites, `"error"` or `"ignore"`.
    """

    path: Path
    separator: str = ","
    decimal: str = "."
    missing: str = "error"

    @property
    def digest(self) -> str:
        """The SHA-256 of the content."""
        return sha256_of(self.path)

    def read(self, model: HierarchicalModel) -> PlateData:
        """The data, as a model takes them.

        Raises:
            ValueError: If the file cannot be read or does not fit the model; the message names
                the column and, where a cell is at fault, its row and its line.
            ImportError: Without pandas, which the extra `data` brings.
        """
        self.check()
        frame = self._frame()
        columns = expected_columns(model)
        self._check_columns(frame, columns)
        fault = first_fault(frame, columns, decimal=self.decimal, missing=self.missing)
        if fault is not None:
            line = self.line(fault.row)
            where = f"row {fault.row + 1}" + (f" (line {line})" if line is not None else "")
            more = f" {fault.more:,} more such cells are in this column." * bool(fault.more)
            raise ValueError(f"{self.path}, {where}, column {fault.column!r}: {fault.told}{more}")
        try:
            return PlateData.from_frame(frame, model, missing=self.missing)
        except ValueError as error:
            note = " Its rows count from 0, below the header." if "row" in str(error) else ""
            raise ValueError(f"{self.path}: {error}{note}") from error

    def check(self) -> None:
        """The file is there.

        Raises:
            ValueError: If it is not.
        """
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a folder; the data stand in a CSV file.")
        if not self.path.is_file():
            raise ValueError(f"there is no file {self.path} in {Path.cwd()}.")

    def line(self, row: int) -> int | None:
        """The line of the file where a row begins; None where the file is compressed.

        Args:
            row: Counted from 0, below the header.
        """
        if self.path.suffix != ".csv" and self.path.suffix not in (".txt", ".tsv"):
            return None
        with self.path.open(newline="", encoding="utf-8-sig") as stream:
            reader, before, found = csv.reader(stream, delimiter=self.separator), 0, -2
            for cells in reader:
                # Blank lines are no rows.
                found += bool(cells)
                if found == row:
                    return before + 1
                before = reader.line_num
        return None

    def _frame(self) -> pd.DataFrame:
        self._check_header()
        frame = self._parsed()
        if not len(frame):
            raise ValueError(f"{self.path} has a header and no rows.")
        return frame

    def _check_header(self) -> None:
        """One name per column, and more than one column where the line has other separators."""
        names = [str(name) for name in self._parsed(header=None, nrows=1).iloc[0]]
        if len(names) == 1:
            for other, shown in OTHER_SEPARATORS.items():
                if other in names[0]:
                    raise ValueError(
                        f"{self.path}: its header {names[0]!r} is one column, in which "
                        f"{other!r} stands between the names; give --separator {shown}."
                    )
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{self.path}: two columns are called {twice[0]!r}; rename one.")

    def _parsed(self, *, header: int | None = 0, nrows: int | None = None) -> pd.DataFrame:
        """The file as pandas reads it."""
        try:
            import pandas as pd
        except ImportError:
            raise ImportError(
                "reading a CSV file needs pandas, which is optional: "
                "pip install 'pavi-torch[data]'"
            ) from None
        try:
            with warnings.catch_warnings():
                # Lines that are longer than the header would lose their ends.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                return pd.read_csv(
                    self.path,
                    sep=self.separator,
                    decimal=self.decimal,
                    header=header,
                    nrows=nrows,
                    index_col=False,
                    low_memory=False,
                    skipinitialspace=True,
                    encoding="utf-8-sig",
                )
        except pd.errors.EmptyDataError:
            raise ValueError(f"{self.path} is empty.") from None
        except pd.errors.ParserWarning:
            raise ValueError(
                f"{self.path}: its lines have more cells than its header has names; "
                "name every column."
            ) from None
        except pd.errors.ParserError as error:
            told = str(error).rpartition("error: ")[2].strip()
            raise ValueError(f"{self.path} is no table: {told}.") from error
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self.path} is not UTF-8 ({error.reason} at byte {error.start}); save it as "
                "UTF-8."
            ) from error

    def _check_columns(self, frame: pd.DataFrame, columns: Sequence[Column]) -> None:
        there = [str(name) for name in frame.columns]
        absent = [each for each in columns if each.required and each.name not in there]
        if not absent:
            return
        told = []
        for each in absent:
            close = get_close_matches(each.name, there, n=1)
            like = "".join(f", like {name!r}?" for name in close)
            told.append(f"{each.name!r} ({each.holds}){like}")
        raise ValueError(
            f"{self.path} has no column {'; '.join(told)}. Its columns are {there}; "
            "rename them to the names of the model."
        )
