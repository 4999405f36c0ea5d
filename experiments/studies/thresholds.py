"""How long runs must be to end at a gap."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from experiments.studies.reference import FLOOR

RUN = ["case", "method", "data", "seed"]


def reached(rows: pd.DataFrame, level: float, what: str) -> pd.DataFrame:
    """The `steps` or the `seconds` of the shortest run whose gap per latent is at a level.

    The rate of a run falls to zero at its end, and until then the guide jitters around where it
    will settle. What a method needs is therefore asked of whole runs of several lengths. Between
    two of them the logarithm of the gap, of `FLOOR` where it is lower, is taken to fall evenly in
    the logarithm of the length. What no run reaches has no value (NaN).

    Args:
        rows: A row per run.
        level: In nats per latent, above `FLOOR`.
        what: `"steps"` or `"seconds"`.

    Returns:
        A row per method, case, data set and seed, with the columns of `RUN` and `value`.
    """
    found = []
    for key, runs in rows.groupby(RUN, sort=False):
        runs = runs.sort_values("steps")
        below = np.flatnonzero(runs["gap_per_latent"].to_numpy() <= level)
        value = math.nan
        if len(below):
            value = _between(runs, int(below[0]), level, what)
        found.append({**dict(zip(RUN, key, strict=True)), "value": value})
    return pd.DataFrame(found)


def longest(rows: pd.DataFrame) -> pd.DataFrame:
    """Of every method on every data set of a case the longest of its runs."""
    most = rows.groupby(RUN, sort=False, dropna=False)["steps"].transform("max")
    return rows[rows["steps"].isna() | (rows["steps"] == most)]


def _between(runs: pd.DataFrame, index: int, level: float, what: str) -> float:
    place = runs[what].to_numpy(float)
    gap = np.maximum(runs["gap_per_latent"].to_numpy(float), FLOOR)
    if index == 0:
        return float(place[index])
    part = math.log(gap[index - 1] / level) / math.log(gap[index - 1] / gap[index])
    before, after = math.log(place[index - 1]), math.log(place[index])
    return math.exp(before + part * (after - before))
