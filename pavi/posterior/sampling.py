"""Draws of latent sites: of all rows, or of chosen ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pavi.data import PlateData
from pavi.data.rows import take_rows
from pavi.guides.base import Guide
from pavi.posterior.checks import chosen_rows
from pavi.posterior.joint_draws import BUDGET, JointDraws


@torch.no_grad()
def sample(
    guide: Guide,
    data: PlateData,
    sites: Sequence[str],
    *,
    draws: int,
    seed: int,
    keep: Tensor | None = None,
    budget: int = BUDGET,
) -> dict[str, Tensor]:
    """Draws of all rows, `(draws, *plates, *event)` per site.

    Args:
        guide: The guide.
        data: The data.
        sites: Latent sites.
        draws: The number of draws.
        seed: Of the noise.
        keep: Which of the draws to keep, by number; all of them by default.
        budget: How many numbers a chunk may hold.
    """
    joint = JointDraws(guide, data, draws=draws, seed=seed, budget=budget)
    parts: dict[str, list[Tensor]] = {site: [] for site in sites}
    for part in joint.parts(sites):
        for site in sites:
            if not (parts[site] and joint.chunks.shared(site)):
                value = part.draws.values[site]
                parts[site].append(value if keep is None else value[keep])
    return {site: joint.chunks.join(site, values, lead=1) for site, values in parts.items()}


@torch.no_grad()
def sample_rows(
    guide: Guide,
    data: PlateData,
    sites: Sequence[str],
    rows: Mapping[str, Sequence[int] | np.ndarray],
    *,
    draws: int,
    seed: int,
) -> dict[str, Tensor]:
    """Draws of chosen rows and no others, per plate in the order of `rows`."""
    chosen = chosen_rows(data, rows)
    if guide.whole:
        drawn, places = guide(data.batch(seed=seed), draws=draws), chosen
    else:
        batch_rows = _closed(data, chosen)
        batch = data.batch(batch_rows, sites=data.covariates, seed=seed)
        drawn = guide(batch, draws=draws, sites=sites)
        places = {
            plate: np.searchsorted(batch_rows[plate], numbers) for plate, numbers in chosen.items()
        }
    return {
        site: take_rows(drawn.values[site], data.model.sites[site].plates, places, lead=1)
        for site in sites
    }


def _closed(data: PlateData, chosen: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The chosen rows, ascending, with those they lie within and nothing below them."""
    graph = data.model.plates
    rows = {plate: np.unique(numbers) for plate, numbers in chosen.items()}
    for plate in chosen:
        for above in graph.ancestors(plate):
            reached = np.unique(data.parent_rows(plate, above)[rows[plate]])
            rows[above] = np.union1d(rows[above], reached) if above in rows else reached
    for plate in graph:
        if plate not in rows and graph.ancestors(plate) & set(rows):
            rows[plate] = np.empty(0, dtype=np.int64)
    return rows
