"""A posterior beside the NUTS reference, as a table and as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from rich.table import Table

from experiments.problems.reference import Reference
from pavi.posterior import Summary


@final
@dataclass(frozen=True)
class Comparison:
    """One parameter in both posteriors.

    Args:
        mean: Ours.
        sd: Ours.
        nuts_mean: That of NUTS.
        nuts_sd: That of NUTS.
    """

    mean: float
    sd: float
    nuts_mean: float
    nuts_sd: float

    @property
    def z(self) -> float:
        """The difference of the means in standard deviations of NUTS."""
        return (self.mean - self.nuts_mean) / self.nuts_sd

    @property
    def sd_ratio(self) -> float:
        """Our standard deviation over that of NUTS."""
        return self.sd / self.nuts_sd


@final
@dataclass(frozen=True)
class GroupComparison:
    """The effects of all groups of one kind in both posteriors.

    Args:
        groups: How many.
        rmse_over_sd: The root mean square of the differences of the means, each in standard
            deviations of NUTS.
        sd_ratio: The median ratio of standard deviations.
    """

    groups: int
    rmse_over_sd: float
    sd_ratio: float


def compare(summary: Summary, reference: Reference) -> dict[str, Comparison]:
    """Per global parameter."""
    return {
        name: Comparison(float(summary.mean[name]), float(summary.sd[name]), mean, sd)
        for name, (mean, sd) in reference.globals.items()
    }


def compare_groups(summary: Summary, reference: Reference) -> dict[str, GroupComparison]:
    """Per site of group effects."""
    found = {}
    for name, (mean, sd) in reference.locals.items():
        error = (summary.mean[name].numpy() - mean) / sd
        ratio = summary.sd[name].numpy() / sd
        rmse = float(np.sqrt(np.mean(error**2)))
        found[name] = GroupComparison(len(mean), rmse, float(np.median(ratio)))
    return found


def global_table(rows: dict[str, Comparison], *, title: str) -> Table:
    """A line per parameter."""
    columns = ("parameter", "pavi mean", "pavi sd", "NUTS mean", "NUTS sd", "z", "sd ratio")
    table = _table(title, columns)
    table.caption = "z: difference of the means in NUTS sd"
    for name, row in rows.items():
        numbers = (f"{n:.4f}" for n in (row.mean, row.sd, row.nuts_mean, row.nuts_sd))
        table.add_row(name, *numbers, f"{row.z:+.2f}", f"{row.sd_ratio:.2f}")
    return table


def group_table(rows: dict[str, GroupComparison]) -> Table:
    """A line per site of group effects."""
    columns = ("group effects", "groups", "rms difference in NUTS sd", "median sd ratio")
    table = _table(None, columns)
    for name, row in rows.items():
        table.add_row(name, f"{row.groups:,}", f"{row.rmse_over_sd:.3f}", f"{row.sd_ratio:.2f}")
    return table


def _table(title: str | None, columns: tuple[str, ...]) -> Table:
    table = Table(title=title)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table
