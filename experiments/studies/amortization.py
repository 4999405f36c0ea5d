r"""E5: cumulative time against the number of data sets.

A guide that is trained over simulated data sets takes :math:`T + n\,t` seconds for `n` data sets,
one that is fitted to each :math:`n\,f`. The first is ahead from

.. math:: n^* = \lceil T / (f - t) \rceil

data sets on. A guide that did not learn is ahead of nothing, however fast it is: no crossover is
told where its gap is above `ENOUGH`.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.studies.drawing import COLORS, panels
from experiments.studies.published import PUBLISHED_GAPS
from experiments.studies.reference import FLOOR
from experiments.studies.report import Findings, Report
from experiments.studies.spread import number, spread, told, whole
from experiments.tables import Row

# Nats per latent: the gap up to which a guide counts as fitted.
ENOUGH = 0.05


def _times(found: Findings) -> pd.DataFrame:
    """Per case and method: seconds once, and for every data set; NaN where no run succeeded."""
    rows = found.rows
    if "train_seconds" not in rows:
        rows = rows.assign(train_seconds=float("nan"))
    groups = rows.groupby(["case", "method"], sort=False)
    times = groups.agg(once=("train_seconds", "median"), each=("seconds", "median"))
    return times.assign(once=times["once"].fillna(0.0))


def crossover(once: float, each: float, fit: float) -> float:
    """From how many data sets on training once is faster; infinite if never."""
    return math.ceil(once / (fit - each)) if fit > each else math.inf


def _table(found: Findings) -> list[Row]:
    times = _times(found)
    median = spread(found.rows, "gap_per_latent").set_index(["case", "method"])["median"]
    gaps, totals = told(found.rows, "gap_per_latent", number), told(found.rows, "gap", number)
    rows: list[Row] = []
    for case, method in times.index:
        once, each = times.loc[(case, method)]
        row: Row = {
            "model": case,
            "method": method,
            "gap per latent": gaps[case, method],
            "gap (nats)": totals[case, method],
            "seconds once": number(once) if once else "",
            "seconds per data set": number(each),
        }
        for other in ("PAVI-F", "mean field"):
            ahead = ""
            fitted = median[case, method] <= ENOUGH
            if once and fitted and (case, other) in times.index:
                ahead = whole(crossover(once, each, times.loc[(case, other), "each"]))
            row[f"ahead of {other} from"] = ahead
        row["published gap (nats)"] = PUBLISHED_GAPS.get(case) if method == "ADAVI" else None
        rows.append(row)
    return rows


def _figure(found: Findings) -> Figure:
    times = _times(found)
    cases = list(dict.fromkeys(found.rows["case"]))
    figure, axes = panels(2 * len(cases), width=3.2)
    number_of_sets = np.arange(1, 101)
    for case, left, right in zip(cases, axes[::2], axes[1::2], strict=True):
        for method in times.loc[case].index:
            once, each = times.loc[(case, method)]
            left.plot(
                number_of_sets, once + each * number_of_sets, color=COLORS[method], label=method
            )
            part = found.rows[(found.rows["case"] == case) & (found.rows["method"] == method)]
            gap = np.sort(np.maximum(part["gap_per_latent"].to_numpy(float), FLOOR))
            share = np.arange(1, len(gap) + 1) / len(gap)
            right.step(gap, share, color=COLORS[method], where="post", label=method)
        left.set_yscale("log")
        left.set_title(case, fontsize=10)
        left.set_xlabel("Data sets")
        left.set_ylabel("Seconds in all")
        right.set_title(case, fontsize=10)
        right.set_xscale("log")
        right.set_xlabel("Gap (nats per latent)")
        right.set_ylabel("Share of the data sets")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


REPORT = Report(
    _table,
    _figure,
    "`once` is the training over simulated data sets; a data set then costs one forward pass. "
    "The others are fitted to every data set. The gap is that to the exact evidence (GRE) or to "
    "the best importance-weighted bound of the study (GM). A guide whose gap "
    f"is above {ENOUGH} nats per latent has learned too little to be ahead of anything.",
)
