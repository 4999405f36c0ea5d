"""When a run first reaches a gap."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

RUN = ["case", "method", "data", "seed"]


def reached(courses: pd.DataFrame, level: float, what: str) -> pd.DataFrame:
    """Per course, the `step` or the `seconds` at which its gap per latent first fell to a level.

    Between two measurements the logarithm of the gap is taken to fall evenly in the logarithm of
    the step. A course that never gets there has no value (NaN).

    Args:
        courses: A row per course and step at which the gap was measured.
        level: In nats per latent.
        what: `"step"` or `"seconds"`.

    Returns:
        A row per course with the columns of `RUN` and `value`.
    """
    found = []
    for key, course in courses.groupby(RUN, sort=False):
        course = course.sort_values("step")
        below = np.flatnonzero(course["gap_per_latent"].to_numpy() <= level)
        value = math.nan
        if len(below):
            value = _between(course, int(below[0]), level, what)
        found.append({**dict(zip(RUN, key, strict=True)), "value": value})
    return pd.DataFrame(found)


def _between(course: pd.DataFrame, index: int, level: float, what: str) -> float:
    place = course[what].to_numpy(float)
    gap = course["gap_per_latent"].to_numpy(float)
    if index == 0 or gap[index] <= 0:
        return float(place[index])
    part = math.log(gap[index - 1] / level) / math.log(gap[index - 1] / gap[index])
    before, after = math.log(place[index - 1]), math.log(place[index])
    return math.exp(before + part * (after - before))
