"""The parts of a report that show the posterior: globals and groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, final

import numpy as np

from pavi.posterior.report.figures import MOST_INTERVALS, caterpillar_figure
from pavi.posterior.report.numbers import aligned, percent
from pavi.posterior.report.page import Block, Cells, Image, Section, embedded

if TYPE_CHECKING:
    from pavi.posterior.summary import Summary

LEVELS = (0.05, 0.5, 0.95)
MOST_ROWS = 60  # of the table of globals, per site
MOST_VECTORS = 300  # intervals in a vector image
MOST_PANELS = 6  # figures per site whose values are vectors
ENDS = 5  # groups listed from each end


def globals_section(summary: Summary) -> Section | None:
    """The sites without plates as a table; None where there are none."""
    chosen = [site for site in summary.mean if not summary.plates[site]]
    rows = []
    for site in chosen:
        rows += [
            (name, *aligned(values, spread=values[1]))
            for name, values in summary.rows(site, limit=MOST_ROWS)
        ]
        if (left := summary.mean[site].numel() - MOST_ROWS) > 0:
            rows.append((f"... {left:,} more of {site}", *[""] * (2 + len(summary.levels))))
    if not rows:
        return None
    table = Cells(_columns("site", summary), rows, caption="Posterior of the sites without plates")
    return Section("Globals", [table])


def groups_section(summary: Summary) -> Section | None:
    """The sites on plates, each as a caterpillar with its ends in a table; None without any."""
    blocks: list[Block] = []
    for site in summary.mean:
        if summary.plates[site]:
            blocks += _site(summary, site)
    return Section("Groups", blocks) if blocks else None


def _site(summary: Summary, site: str) -> Iterator[Block]:
    plates, event_shape = summary.plates[site], _event_shape(summary, site)
    events = list(product(*map(range, event_shape)))
    for number, event in enumerate(events[:MOST_PANELS]):
        label = f"{site}[{', '.join(map(str, event))}]" if event else site
        groups = _Groups(
            label=label,
            names=partial(_name, summary, site),
            mean=summary.mean[site].double().numpy().reshape(-1, len(events))[:, number],
            sd=summary.sd[site].double().numpy().reshape(-1, len(events))[:, number],
            levels=summary.quantiles[site]
            .double()
            .numpy()
            .reshape(len(summary.levels), -1, len(events))[..., number],
        )
        yield _figure(groups, rows_of=" x ".join(plates))
        yield _ends(groups, columns=_columns(label, summary))
    if (left := len(events) - MOST_PANELS) > 0:
        yield f"{site} has {left:,} more components, which are not drawn."


@final
@dataclass(frozen=True)
class _Groups:
    """One number per group: `mean` and `sd` are `(groups,)`, `levels` is `(levels, groups)`."""

    label: str
    names: Callable[[int], str]
    mean: np.ndarray
    sd: np.ndarray
    levels: np.ndarray


def _figure(groups: _Groups, *, rows_of: str) -> Image:
    number = len(groups.mean)
    caption = f"{groups.label}: means of {number:,} rows of {rows_of} with 90% intervals"
    if number > MOST_INTERVALS:
        caption += f"; {MOST_INTERVALS:,} of them are drawn, evenly over the ranks"
    figure = caterpillar_figure(
        groups.mean,
        groups.levels[0],
        groups.levels[-1],
        groups=f"{rows_of}, in the order of the mean",
        quantity=groups.label,
    )
    alt = f"Posterior means and intervals of {groups.label}, in ascending order."
    return embedded(figure, alt=alt, caption=f"{caption}.", vector=number <= MOST_VECTORS)


def _ends(groups: _Groups, *, columns: Sequence[str]) -> Cells:
    """The groups of the lowest and the highest means; all of them where they are few."""
    order = np.argsort(groups.mean, kind="stable").tolist()
    left = len(order) - 2 * ENDS
    lowest, highest = (order, []) if left < 2 else (order[:ENDS], order[-ENDS:])
    rows = [_row(groups, row) for row in lowest]
    if highest:
        rows.append((f"... {left:,} more", *[""] * (len(columns) - 1)))
        rows += [_row(groups, row) for row in highest]
    return Cells(columns, rows, caption=f"{groups.label}, from the lowest mean")


def _row(groups: _Groups, row: int) -> tuple[str, ...]:
    sd = float(groups.sd[row])
    values = [float(groups.mean[row]), sd, *groups.levels[:, row].tolist()]
    return (groups.names(row), *aligned(values, spread=sd))


def _name(summary: Summary, site: str, row: int) -> str:
    """What a group is called; `row` counts over all plates of the site."""
    plates, mean = summary.plates[site], summary.mean[site]
    places = map(int, np.unravel_index(row, mean.shape[: len(plates)]))
    return ", ".join(
        f"{plate} {summary.labels[plate][place] if plate in summary.labels else place}"
        for plate, place in zip(plates, places, strict=True)
    )


def _event_shape(summary: Summary, site: str) -> tuple[int, ...]:
    return tuple(summary.mean[site].shape[len(summary.plates[site]) :])


def _columns(first: str, summary: Summary) -> tuple[str, ...]:
    return (first, "mean", "sd", *map(percent, summary.levels))
