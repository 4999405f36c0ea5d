"""E2, E3 and E6: the final gap and more against a size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from experiments.studies.drawing import line, panels
from experiments.studies.report import Findings, Report
from experiments.studies.spread import number, spread, told, whole
from experiments.studies.thresholds import longest, reached
from experiments.tables import Row

LEVEL = 0.05
Columns = Mapping[str, Callable[[Findings], pd.DataFrame]]


def _column(name: str) -> Callable[[Findings], pd.DataFrame]:
    """Of the longest runs."""
    return lambda found: longest(found.rows).assign(value=lambda rows: rows[name])


def _reached(what: str) -> Callable[[Findings], pd.DataFrame]:
    return lambda found: reached(found.rows, LEVEL, what)


def _step_time(found: Findings) -> pd.DataFrame:
    return found.rows.assign(value=1000 * found.rows["seconds"] / found.rows["steps"])


def _deviation(when: str) -> Callable[[Findings], pd.DataFrame]:
    name = f"{when}_gradient_variance"
    return lambda found: found.rows.assign(value=found.rows[name] ** 0.5)


GAP: Columns = {"gap per latent (nats)": _column("gap_per_latent")}
SCALING: Columns = {
    **GAP,
    f"seconds to {LEVEL:g}": _reached("seconds"),
    f"steps to {LEVEL:g}": _reached("steps"),
    "parameters": _column("num_parameters"),
}
REDUCED: Columns = {
    **GAP,
    "sd of the gradient at the start": _deviation("start"),
    "sd of the gradient at the end": _deviation("final"),
    "milliseconds per step": _step_time,
}


WHOLE = {"parameters", f"steps to {LEVEL:g}"}


def _table(found: Findings, *, columns: Columns) -> list[Row]:
    form = {name: whole if name in WHOLE else number for name in columns}
    cells = {name: told(value(found), "value", form[name]) for name, value in columns.items()}
    first = next(iter(cells.values()))
    return [
        {found.axis: case, "method": method}
        | {name: cell.get((case, method), "") for name, cell in cells.items()}
        for case, method in first.index
    ]


def _figure(found: Findings, *, columns: Columns) -> Figure:
    figure, axes = panels(len(columns))
    for each, (name, value) in zip(axes, columns.items(), strict=True):
        table = spread(value(found), "value")
        for method in dict.fromkeys(table["method"]):
            part = table[table["method"] == method]
            line(each, _places(part["case"]), part, method=method)
        if (table["median"] < math.inf).any():
            each.set_xscale("log")
            each.set_yscale("log")
        each.set_xlabel(found.axis.capitalize())
        each.set_ylabel(name.capitalize())
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def _places(cases: Sequence[str]) -> list[float]:
    return [float(case) for case in cases]


def _report(columns: Columns, note: str) -> Report:
    return Report(partial(_table, columns=columns), partial(_figure, columns=columns), note)


SPREAD = (
    "Medians, with the range over data sets and seeds. Gaps below 0.00001 are drawn there: they "
    "are noise of their estimates."
)
ENCODING_SIZE = _report(GAP, SPREAD)
CARDINALITY = _report(
    SCALING,
    f"{SPREAD} They are those of the longest runs. Every run has a learning rate that falls to "
    f"zero at its end; seconds and steps are those of the run that is just long enough to end at "
    f"{LEVEL:g} nats per latent, interpolated between lengths on log scales; a dash where no run "
    "gets there.",
)
REDUCED_MODEL = _report(
    REDUCED,
    f"{SPREAD} The gradient is that of the weights that all rows share; its sd is the root of its "
    "total variance over batches. At the start all sizes have the same guide; at the end each has "
    "the one that it trained.",
)
