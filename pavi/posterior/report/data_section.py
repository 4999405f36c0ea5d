"""The part of a report that shows the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pavi.posterior.report.numbers import aligned, short
from pavi.posterior.report.page import Block, Cells, Section

if TYPE_CHECKING:
    from pavi.posterior.posterior import Posterior


def data_section(posterior: Posterior) -> Section:
    """How many rows the plates have, and what was measured on them."""
    blocks: list[Block] = []
    if posterior.data.cardinalities:
        blocks.append(_plates(posterior))
    if posterior.data.measured:
        blocks.append(_values(posterior))
    else:
        blocks.append("The posterior was loaded without the measured values.")
    return Section("Data", blocks)


def _plates(posterior: Posterior) -> Cells:
    """Plates with their rows and, where they lie within others, how many rows share a parent."""
    data, rows = posterior.data, []
    for name, plate in posterior.model.plates.items():
        size = f"{data.cardinalities[name]:,}"
        for parent in plate.within:
            links = data.links[name][parent]
            counts = torch.bincount(links, minlength=data.cardinalities[parent]).double()
            ends = (counts.min(), counts.median(), counts.max())
            rows.append((name, parent, size, *(short(float(end)) for end in ends)))
        if not plate.within:
            rows.append((name, "", size, "", "", ""))
    columns = ("plate", "within", "rows", "min per parent", "median", "max")
    return Cells(columns, rows, caption="Plates", texts=2)


def _values(posterior: Posterior) -> Cells:
    data, rows = posterior.data, []
    for name in (*posterior.model.observed, *data.covariates):
        values, site = data.whole(name), posterior.model.sites[name]
        if name in data.present:
            missing = int((~data.present[name]).sum())
            values = values[data.present[name]]
        else:
            missing = 0
        found = values.double().flatten()
        spread = float(found.std()) if found.numel() > 1 else 0.0
        moments = aligned((float(found.mean()), spread), spread=spread)
        ends = (short(float(found.min())), short(float(found.max())))
        rows.append((name, site.kind, f"{found.numel():,}", f"{missing:,}", *moments, *ends))
    columns = ("site", "kind", "values", "missing", "mean", "sd", "min", "max")
    return Cells(columns, rows, caption="Measured values", texts=2)
