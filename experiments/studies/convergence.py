"""E1: the gap that runs of different lengths end with."""

from __future__ import annotations

from matplotlib.figure import Figure

from experiments.studies.drawing import line, panels
from experiments.studies.report import Findings, Report
from experiments.studies.spread import number, spread, told, whole
from experiments.studies.thresholds import reached
from experiments.tables import Row

LEVELS = (1.0, 0.1, 0.01)


def _table(found: Findings) -> list[Row]:
    runs = found.rows.assign(case="")  # which is their length
    gaps = told(found.rows, "gap_per_latent", number)
    first = {level: reached(runs, level, "steps") for level in LEVELS}
    steps = {level: told(table, "value", whole) for level, table in first.items()}
    seconds = told(reached(runs, LEVELS[1], "seconds"), "value", number)
    rows: list[Row] = []
    for method in dict.fromkeys(found.rows["method"]):
        row: Row = {"method": method}
        row |= {f"gap after {case} steps": gaps[case, method] for case in _cases(found)}
        row |= {f"steps to {level:g}": steps[level]["", method] for level in LEVELS}
        row[f"seconds to {LEVELS[1]:g}"] = seconds["", method]
        rows.append(row)
    return rows


def _cases(found: Findings) -> list[str]:
    return list(dict.fromkeys(found.rows["case"]))


def _figure(found: Findings) -> Figure:
    figure, axes = panels(2)
    gaps = spread(found.rows, "gap_per_latent")
    seconds = spread(found.rows, "seconds")
    for method in dict.fromkeys(gaps["method"]):
        part = gaps[gaps["method"] == method]
        places = [float(case) for case in part["case"]]
        line(axes[0], places, part, method=method)
        line(axes[1], list(seconds[seconds["method"] == method]["median"]), part, method=method)
    for each, label in zip(axes, ("Steps of the run", "Seconds of training"), strict=True):
        each.set_xscale("log")
        each.set_yscale("log")
        each.set_xlabel(label)
    axes[0].set_ylabel("Gap at the end (nats per latent)")
    axes[1].legend(frameon=False, fontsize=8)
    return figure


REPORT = Report(
    _table,
    _figure,
    "Gaps in nats per latent. A point is a run of its own, with a learning rate that falls to "
    "zero at its end. Steps and seconds to a level are interpolated between the lengths on log "
    "scales; a dash where no run gets there. Medians, with the range over data sets and seeds.",
)
