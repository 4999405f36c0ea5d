"""What the ELBOs of a study are compared with."""

from __future__ import annotations

import pandas as pd

from experiments.studies.carry_out import Outcome

# Below so many effective draws an importance-weighted bound says little about the evidence.
LEAST_SIZE = 100.0
LINE = 160  # characters of an error


def with_gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a `reference` and the gap to it where the evidence is not exact.

    The reference of a data set is its exact log evidence or, where there is none, the
    importance-weighted bound on it of the run of the study with most effective draws, if these
    are at least `LEAST_SIZE`. (The largest of several noisy bounds would be above the evidence.)
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
        size = rows["importance_size"].where(rows["importance_size"] >= LEAST_SIZE)
        largest = size.groupby([rows["case"], rows["data"]]).transform("max")
        chosen = rows["importance_bound"].where(size == largest)
        best = chosen.groupby([rows["case"], rows["data"]]).transform("max")
        rows["reference"] = rows["reference"].fillna(best)
    gap = rows["reference"] - rows["elbo"]
    rows["gap"] = rows["gap"].fillna(gap)
    rows["gap_per_latent"] = rows["gap_per_latent"].fillna(gap / rows["num_latents"])
    return rows


def failures(found: list[Outcome]) -> list[str]:
    """A line per run that failed, with the start of its error; the whole one is in `runs.csv`."""
    told = [(outcome.run.name, outcome.error) for outcome in found if outcome.error]
    return [
        f"{name}: {error if len(error) <= LINE else error[:LINE] + ' ...'}" for name, error in told
    ]
