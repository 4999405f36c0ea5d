"""Medians and ranges over data sets and seeds."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd


def spread(rows: pd.DataFrame, value: str, *, worst: float = math.inf) -> pd.DataFrame:
    """Per case and method, in their order: `median`, `low`, `high` and `runs` of a column.

    Args:
        rows: A row per run.
        value: The column.
        worst: What runs without a value (failed, or never there) count as: a median over the runs
            that went well would flatter.
    """
    filled = rows.assign(value=rows[value].fillna(worst))
    groups = filled.groupby(["case", "method"], sort=False)["value"]
    table = groups.agg(median="median", low="min", high="max", runs="size")
    return table.reset_index()


def told(
    rows: pd.DataFrame, value: str, form: Callable[[float], str], *, worst: float = math.inf
) -> pd.Series:
    """The same as text, `median (low to high)`, indexed by case and method."""
    table = spread(rows, value, worst=worst).set_index(["case", "method"])

    def text(row: pd.Series) -> str:
        if row["runs"] == 1 or row["low"] == row["high"]:
            return form(row["median"])
        return f"{form(row['median'])} ({form(row['low'])} to {form(row['high'])})"

    return table.apply(text, axis=1)


def number(value: float) -> str:
    """Three digits; a dash for what was never reached."""
    return "\N{EN DASH}" if not math.isfinite(value) else f"{value:.3g}"


def whole(value: float) -> str:
    """A count; a dash for what was never reached."""
    return "\N{EN DASH}" if not math.isfinite(value) else f"{value:,.0f}"
