"""What the ELBOs of a study are compared with."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from experiments.studies.outcome import Outcome

# Below so many effective draws an importance-weighted bound says little about the evidence.
LEAST_SIZE = 100.0
ALIKE = 3.0  # standard errors
# Smaller gaps per latent are below the noise of their estimates, and say as much as negative ones.
FLOOR = 1e-5
LINE = 160  # characters of an error


def with_gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a `reference` and the gap to it where the evidence is not exact.

    The reference of a data set is its exact log evidence or, where there is none, an
    importance-weighted bound on it that a run of the study found, see `best_bound`.
    Components of a mixture may be relabelled; guides that cover one labelling are then compared
    with the evidence of one.

    Args:
        rows: As `tidy` made them.
    """
    rows = rows.copy()
    for name in ("log_evidence", "gap", "gap_per_latent"):
        if name not in rows:
            rows[name] = float("nan")
    rows["reference"] = rows["log_evidence"]
    if "importance_bound" in rows:
        for _, part in rows.groupby(["case", "data"]):
            rows.loc[part.index, "reference"] = part["reference"].fillna(best_bound(part))
    gap = rows["reference"] - rows["elbo"]
    rows["gap"] = rows["gap"].fillna(gap)
    rows["gap_per_latent"] = rows["gap_per_latent"].fillna(gap / rows["num_latents"])
    return rows


def best_bound(rows: pd.DataFrame) -> float:
    """The importance-weighted bound on the evidence of one data set to compare with.

    Bounds with less than `LEAST_SIZE` effective draws say little. Of the others the largest comes
    from a run that found the mass of the posterior, but the largest of several noisy numbers is
    too large: of all bounds that the noise cannot tell from it, that with most effective draws is
    taken.

    Args:
        rows: Of one data set: `importance_bound`, `_error` and `_size`.

    Returns:
        The bound, or NaN.
    """
    rows = rows[rows["importance_size"] >= LEAST_SIZE]
    if rows.empty:
        return math.nan
    bound, error = rows["importance_bound"], rows["importance_error"]
    largest = bound == bound.max()
    noise = np.hypot(error, error[largest].min())
    alike = rows[bound >= bound.max() - ALIKE * noise]
    most = alike["importance_size"] == alike["importance_size"].max()
    return float(alike.loc[most, "importance_bound"].max())


def failures(found: list[Outcome]) -> list[str]:
    """A line per run that failed, with the start of its error; the whole one is in `runs.csv`."""
    told = [(outcome.run.name, outcome.error) for outcome in found if outcome.error]
    return [
        f"{name}: {error if len(error) <= LINE else error[:LINE] + ' ...'}" for name, error in told
    ]
