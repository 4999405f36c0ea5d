"""The part of a report that compares replicated data with the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pavi.posterior.report.between_groups import GroupCheck
from pavi.posterior.report.figures import check_figure
from pavi.posterior.report.numbers import aligned
from pavi.posterior.report.page import Block, Cells, Section, embedded
from pavi.posterior.report.predictive import Check
from pavi.posterior.report.statistic import Statistic

# A statistic is marked outside of the central 98% of the replicates.
TAIL = 0.01


def predictive_section(checks: Sequence[Check], groups: Sequence[GroupCheck] = ()) -> Section:
    """Figures and statistics of each observed site, with a verdict in words.

    Args:
        checks: One per observed site.
        groups: One per observed site and plate of groups.
    """
    draws = len(checks[0].replicated)
    blocks: list[Block] = [
        f"{draws:,} data sets of the same size were drawn from the fitted model. Where the model "
        "holds, the data look like one of them."
    ]
    for check in checks:
        blocks += [
            embedded(
                check_figure(check),
                alt=f"Histogram of {check.site} with that of replicated data.",
                caption=f"{check.site}: the data (grey) and where 90% of the replicates lie, with "
                "their median (blue).",
            ),
            _table(check.statistics, caption=f"Statistics of {check.site}"),
        ]
    if groups:
        blocks.append(
            "In the following tables replicates have new groups, drawn from the population that "
            "was fitted, with the sizes of the measured ones. Where the model holds, the groups "
            "look like such ones."
        )
    blocks += [
        _table(check.statistics, caption=f"Means of {check.site} by {check.plate}")
        for check in groups
    ]
    compared: list[Check | GroupCheck] = [*checks, *groups]
    strange = [
        f"the {statistic.name} of {check.site}"
        for check in compared
        for statistic in check.statistics
        if _strange(statistic.tail)
    ]
    if strange:
        blocks.append(
            f"Unlike the replicates: {'; '.join(strange)}. The model does not describe this side "
            "of the data; ask whether your question depends on it."
        )
    else:
        blocks.append("In these statistics the data are like the replicates.")
    return Section("Predictive checks", blocks)


def _table(statistics: Sequence[Statistic], *, caption: str) -> Cells:
    rows, marked = [], set()
    for number, statistic in enumerate(statistics):
        low, high = map(float, np.quantile(statistic.replicated, (0.05, 0.95)))
        verdict = "like the replicates"
        if _strange(statistic.tail):
            verdict = "unlike the replicates"
            marked.add(number)
        values = aligned((statistic.measured, low, high), spread=high - low)
        rows.append((statistic.name, verdict, *values, f"{statistic.tail:.2f}"))
    columns = ("statistic", "verdict", "data", "replicates 5%", "95%", "above")
    return Cells(
        columns,
        rows,
        caption=f"{caption}; last, the share of replicates above the data",
        texts=2,
        marked=frozenset(marked),
    )


def _strange(tail: float) -> bool:
    return not TAIL <= tail <= 1 - TAIL
