"""The numbers of a run as a table that a killed run leaves readable."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any, final

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from pavi.files import append_text, write_text

FILE = "metrics.csv"
STEP = "step"


@final
class CSVLog(Logger):
    """A row per step that is logged, on the disk when it is logged; a sweep reads it meanwhile.

    Every start of a run has a table of its own, `version_0/metrics.csv` and so on. (Lightning's
    logger writes its table anew where a new column comes, and one that is killed then loses it.)

    Args:
        folder: Of the tables.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        taken = [path.name.removeprefix("version_") for path in folder.glob("version_*")]
        self._version = 1 + max((int(number) for number in taken if number.isdigit()), default=-1)
        self._file = folder / f"version_{self._version}" / FILE
        self._columns: list[str] = []
        self._rows: list[dict[str, float]] = []

    @property
    def name(self) -> str:
        """Of the folder."""
        return self._file.parents[1].name

    @property
    def version(self) -> int:
        """The number of this start."""
        return self._version

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Tensor | float], step: int | None = None) -> None:
        """Add a row."""
        row = {name: float(value) for name, value in metrics.items()}
        if step is not None:
            row[STEP] = step
        self._rows.append(row)
        if row.keys() <= set(self._columns):
            append_text(self._file, self._text([row]))
            return
        self._columns = sorted({*self._columns, *row})
        self._file.parent.mkdir(parents=True, exist_ok=True)
        header = dict(zip(self._columns, self._columns, strict=True))
        write_text(self._file, self._text([header, *self._rows]))

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Nothing: the config of a run is in its folder."""

    def _text(self, rows: list[dict[str, Any]]) -> str:
        stream = StringIO()
        csv.DictWriter(stream, self._columns, lineterminator="\n").writerows(rows)
        return stream.getvalue()
