"""E4: the gap of every method on every model."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from experiments.studies.drawing import COLORS
from experiments.studies.published import PUBLISHED
from experiments.studies.reference import FLOOR
from experiments.studies.report import Findings, Report
from experiments.studies.spread import number, told
from experiments.tables import Row


def _table(found: Findings) -> list[Row]:
    gaps = told(found.rows, "gap_per_latent", number)
    elbos = told(found.rows, "elbo", _four_digits, worst=-math.inf)
    bounds = found.rows.groupby(["case", "method"], sort=False).first().get("bound")
    rows: list[Row] = []
    for case, method in gaps.index:
        bound = None if bounds is None else bounds.get((case, method))
        rows.append(
            {
                "model": case,
                "method": method,
                "gap per latent": gaps[case, method],
                "ELBO": elbos[case, method],
                "the value is": bound if isinstance(bound, str) else "ELBO",
                "published ELBO": PUBLISHED.get(case, {}).get(method),
            }
        )
    return rows


def _four_digits(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "\N{EN DASH}"


def _figure(found: Findings) -> Figure:
    cases = list(dict.fromkeys(found.rows["case"]))
    methods = list(dict.fromkeys(found.rows["method"]))
    figure = Figure(figsize=(1.6 + 1.55 * len(cases), 3.8), layout="constrained")
    axes = figure.add_subplot()
    for index, method in enumerate(methods):
        part = found.rows[found.rows["method"] == method]
        offset = 0.8 * ((index + 0.5) / len(methods) - 0.5)
        place = part["case"].map(cases.index).to_numpy(float) + offset
        gap = part["gap_per_latent"].to_numpy(float)
        finite = np.isfinite(gap)
        axes.scatter(
            place[finite],
            np.maximum(gap[finite], FLOOR),
            s=16,
            color=COLORS[method],
            label=method,
            lw=0,
        )
    axes.set_yscale("log")
    axes.set_xticks(range(len(cases)), cases)
    for border in range(1, len(cases)):
        axes.axvline(border - 0.5, color="0.9", lw=0.8, zorder=0)
    axes.set_ylabel("Gap (nats per latent)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, fontsize=8, loc="outside right center")
    return figure


REPORT = Report(
    _table,
    _figure,
    "A point per run. The gap is that to the exact evidence (GRE, NC) or to the best known bound "
    "on it, which any run of the study reached by importance weighting. Where the value is a "
    "bound below the ELBO, the gap includes its slack. Gaps below 0.00001 are drawn there. "
    "Published ELBOs are ADAVI's, medians over other data sets: an ELBO depends on the data, so "
    "compare gaps.",
)
