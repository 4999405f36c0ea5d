"""E1: the gap against steps and against seconds."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from experiments.studies.drawing import line, panels
from experiments.studies.report import Findings, Report
from experiments.studies.spread import number, spread, told, whole
from experiments.studies.thresholds import reached
from experiments.tables import Row

LEVELS = (1.0, 0.1, 0.01)


def _table(found: Findings) -> list[Row]:
    rows: list[Row] = []
    gaps = told(found.rows, "gap_per_latent", number)
    steps = {
        level: told(reached(found.courses, level, "step"), "value", whole) for level in LEVELS
    }
    seconds = told(reached(found.courses, LEVELS[1], "seconds"), "value", number)
    parameters = spread(found.rows, "num_parameters").set_index(["case", "method"])["median"]
    for key in gaps.index:
        row: Row = {"method": key[1]}
        row |= {f"steps to {level:g}": steps[level][key] for level in LEVELS}
        row[f"seconds to {LEVELS[1]:g}"] = seconds[key]
        row["final gap per latent"] = gaps[key]
        row["parameters"] = whole(parameters[key])
        rows.append(row)
    return rows


def _figure(found: Findings) -> Figure:
    figure, axes = panels(2)
    for method, course in found.courses.groupby("method", sort=False):
        grouped = course.groupby("step")
        gaps = grouped["gap_per_latent"]
        table = pd.DataFrame({"median": gaps.median(), "low": gaps.min(), "high": gaps.max()})
        seconds = grouped["seconds"].median()
        for each, place in ((axes[0], table.index), (axes[1], seconds)):
            line(each, list(place), table.clip(lower=1e-6), method=str(method), marker=None)
    for each, label in zip(axes, ("Step", "Seconds of training"), strict=True):
        each.set_xscale("log")
        each.set_yscale("log")
        each.set_xlabel(label)
    axes[0].set_ylabel("Gap to the evidence (nats per latent)")
    axes[1].legend(frameon=False, fontsize=8)
    return figure


REPORT = Report(
    _table,
    _figure,
    "Steps and seconds until the gap per latent first falls to a level; a dash where it never "
    "does. Lines are medians, bands the range over data sets and seeds.",
)
