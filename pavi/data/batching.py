"""The plate-batch of chosen rows: their values, read or sliced, and links between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pavi.core import PlateBatch
from pavi.data.rows import take_rows
from pavi.data.stored_values import stored_values

if TYPE_CHECKING:
    from pavi.data.plate_data import PlateData


def plate_batch(
    data: PlateData,
    rows: Mapping[str, np.ndarray],
    *,
    weights: Mapping[str, np.ndarray],
    sites: Sequence[str] | None,
    seed: int,
) -> PlateBatch:
    """A plate-batch of chosen rows, see `PlateData.batch`."""
    chosen = {plate: torch.as_tensor(ids) for plate, ids in rows.items()}
    weighed = {plate: torch.as_tensor(weight).to(data.like) for plate, weight in weights.items()}
    for plate in data.cardinalities:
        if plate not in chosen:
            chosen[plate] = torch.arange(data.cardinalities[plate])
        if plate not in weighed:
            weighed[plate] = data.like.new_ones(()).expand(len(chosen[plate]))
    wanted = data.measured if sites is None else sites
    return PlateBatch(
        rows=chosen,
        weights=weighed,
        links={plate: _links_within(data, plate, chosen, rows) for plate in data.links},
        values={name: values_of(data, name, rows) for name in wanted},
        present={
            name: take_rows(mask, data.model.sites[name].plates, rows)
            for name, mask in data.present.items()
            if name in wanted
        },
        seed=seed,
        like=data.like,
    )


def values_of(data: PlateData, site: str, rows: Mapping[str, np.ndarray]) -> Tensor:
    """The values of a site that was measured at some rows, from memory or its store.

    Args:
        data: The data.
        site: An observed site or covariate.
        rows: Per plate, row numbers; all rows of a plate that is not named.

    Raises:
        ValueError: As `stored_values`.
    """
    if site in data.stores:
        return stored_values(site, data.stores[site], data.model, rows=rows, like=data.like)
    return take_rows(data.values[site], data.model.sites[site].plates, rows)


def _links_within(
    data: PlateData, plate: str, chosen: Mapping[str, Tensor], named: Mapping[str, np.ndarray]
) -> dict[str, Tensor]:
    """Each chosen row's parents, as positions among the chosen rows of the parents."""
    found = {}
    for parent, links in data.links[plate].items():
        own = links[chosen[plate]] if plate in named else links
        if parent in named:
            own = torch.searchsorted(chosen[parent], own)
        found[parent] = own
    return found
