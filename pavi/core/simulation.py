"""Draws from a template model: latents from the prior, data from the likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from pavi.core.batch import Links, whole
from pavi.core.plates import PlateGraph
from pavi.core.sites import Covariate

if TYPE_CHECKING:
    from pavi.core.model import HierarchicalModel


@final
@dataclass(frozen=True)
class Simulation:
    """One draw of everything.

    Args:
        latents: The true values, `(*plates, *event)`.
        arrays: Observed sites and covariates, `(*plates, *event)`.
        links: Per indexed plate and plate directly above it, each row's parent.
    """

    latents: Mapping[str, Tensor]
    arrays: Mapping[str, Tensor]
    links: Links


def simulate(
    model: HierarchicalModel,
    cardinalities: Mapping[str, int],
    *,
    seed: int,
    covariates: Mapping[str, Tensor] | None,
    links: Links | None,
    dtype: torch.dtype,
) -> Simulation:
    """See `HierarchicalModel.simulate`.

    Raises:
        ValueError: If a plate has no size, or fewer rows than one it lies within, or a size is
            that of an unknown plate.
    """
    model.plates.check_names(cardinalities)
    if missing := [plate for plate in model.plates if plate not in cardinalities]:
        raise ValueError(
            f"cardinalities lack the plates {missing}; got {dict(cardinalities)}, "
            f"plates are {list(model.plates)}."
        )
    like = torch.zeros((), dtype=dtype)
    given = covariates or {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        links = links or _links(model.plates, cardinalities)
        arrays = {}
        for name in model.covariates:
            site = model.sites[name]
            shape = [*(cardinalities[p] for p in site.plates), *site.event_shape]
            arrays[name] = given[name] if name in given else torch.randn(shape, dtype=dtype)
        batch = whole(cardinalities, links, arrays, like=like)
        drawn: dict[str, Tensor] = {}
        for name, site in model.sites.items():
            if not isinstance(site, Covariate):
                drawn[name] = model.conditional(name, drawn, batch, draws=1).sample()
    values = {name: value.squeeze(0) for name, value in drawn.items()}
    return Simulation(
        latents={name: values[name] for name in model.latents},
        arrays={**arrays, **{name: values[name] for name in model.observed}},
        links=links,
    )


def _links(graph: PlateGraph, cardinalities: Mapping[str, int]) -> dict[str, dict[str, Tensor]]:
    """Random links that leave no parent without a row."""
    links: dict[str, dict[str, Tensor]] = {}
    for name, plate in graph.items():
        rows = cardinalities[name]
        for parent in plate.within:
            groups = cardinalities[parent]
            if rows < groups:
                raise ValueError(
                    f"plate {name!r} has {rows} rows, fewer than the {groups} of {parent!r}, "
                    "which it lies within; every row above needs one below."
                )
            spread = torch.cat([torch.arange(groups), torch.randint(groups, (rows - groups,))])
            links.setdefault(name, {})[parent] = spread[torch.randperm(rows)]
    return links
