"""The parts of a report that show the posterior: globals and groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from pavi.posterior.report.figures import MOST_INTERVALS, caterpillar_figure
from pavi.posterior.report.numbers import aligned, percent
from pavi.posterior.report.page import Block, Cells, Section, embedded

if TYPE_CHECKING:
    from pavi.posterior.summary import Summary

LEVELS = (0.05, 0.5, 0.95)
MOST_ROWS = 60  # of the table of globals, per site
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
    table = Cells(_columns("", summary), rows, caption="Posterior of the sites without plates")
    return Section("Globals", [table])


def groups_section(summary: Summary) -> Section | None:
    """The sites on plates, each as a caterpillar with its ends in a table; None without any."""
    blocks: list[Block] = []
    for site in summary.mean:
        if summary.plates[site]:
            blocks += _site(summary, site)
    return Section("Groups", blocks) if blocks else None


def _site(summary: Summary, site: str) -> Iterator[Block]:
    plates, mean = summary.plates[site], summary.mean[site]
    events = list(product(*map(range, mean.shape[len(plates) :])))
    for event in events[:MOST_PANELS]:
        label = f"{site}[{', '.join(map(str, event))}]" if event else site
        index = (..., *event)
        flat = [part[index].double().numpy().reshape(-1) for part in (mean, summary.sd[site])]
        levels = summary.quantiles[site][index].double().numpy().reshape(len(summary.levels), -1)
        number, rows_of = len(flat[0]), " x ".join(plates)
        caption = f"{label}: means of {number:,} rows of {rows_of} with 90% intervals"
        if number > MOST_INTERVALS:
            caption += f"; {MOST_INTERVALS:,} of them are drawn, evenly over the ranks"
        yield embedded(
            caterpillar_figure(
                flat[0],
                levels[0],
                levels[-1],
                groups=f"{rows_of}, in the order of the mean",
                quantity=label,
            ),
            alt=f"Posterior means and intervals of {label}, in ascending order.",
            caption=f"{caption}.",
            vector=number <= MOST_INTERVALS // 5,
        )
        yield _ends(summary, site, event, mean=flat[0], sd=flat[1], levels=levels)
    if (left := len(events) - MOST_PANELS) > 0:
        yield f"{site} has {left:,} more components, which are not drawn."


def _ends(
    summary: Summary,
    site: str,
    event: tuple[int, ...],
    *,
    mean: np.ndarray,
    sd: np.ndarray,
    levels: np.ndarray,
) -> Cells:
    """The groups of the lowest and the highest means; all of them where they are few."""
    order = np.argsort(mean, kind="stable")
    chosen: Sequence[int | None] = order.tolist()
    if len(order) > 2 * ENDS + 1:
        chosen = [*order[:ENDS].tolist(), None, *order[-ENDS:].tolist()]
    plates = summary.plates[site]
    shape = summary.mean[site].shape[: len(plates)]
    rows: list[tuple[str, ...]] = []
    for row in chosen:
        if row is None:
            rows.append((f"... {len(order) - 2 * ENDS:,} more", *[""] * (2 + len(levels))))
            continue
        places = np.unravel_index(row, shape)
        name = ", ".join(
            f"{plate} {summary.labels[plate][i] if plate in summary.labels else i}"
            for plate, i in zip(plates, places, strict=True)
        )
        rows.append((name, *aligned((mean[row], sd[row], *levels[:, row]), spread=sd[row])))
    label = f"{site}[{', '.join(map(str, event))}]" if event else site
    return Cells(_columns(label, summary), rows, caption=f"{label}, from the lowest mean")


def _columns(first: str, summary: Summary) -> tuple[str, ...]:
    return (first, "mean", "sd", *map(percent, summary.levels))
