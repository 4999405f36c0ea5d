"""What is made of the runs of a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import pandas as pd
from matplotlib.figure import Figure

from experiments.tables import Row


@final
@dataclass(frozen=True)
class Findings:
    """The runs of a study.

    Args:
        rows: A row per run and data set, with gaps.
        axis: What the cases vary.
    """

    rows: pd.DataFrame
    axis: str


@final
@dataclass(frozen=True)
class Report:
    """How a study is told.

    Args:
        table: The rows of its table.
        figure: Its figure.
        note: How to read both.
    """

    table: Callable[[Findings], list[Row]]
    figure: Callable[[Findings], Figure]
    note: str
