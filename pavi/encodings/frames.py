"""The frames of a model: what lies on the same plates, from the data up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from pavi.core import HierarchicalModel


@final
@dataclass(frozen=True)
class Frame:
    """Sites that lie on the same plates, in any order of these.

    Args:
        plates: The plates.
        latents: The latent sites on them.
        observed: The observed sites on them.
        covariates: The covariates on these plates or on ones that these lie within.
        coarser: The frames directly above: their plates are in reach, with none in between.
        finer: The frames directly below.
    """

    plates: tuple[str, ...]
    latents: tuple[str, ...]
    observed: tuple[str, ...]
    covariates: tuple[str, ...]
    coarser: tuple[int, ...]
    finer: tuple[int, ...]


def without_data(model: HierarchicalModel) -> tuple[str, ...]:
    """The latent sites on plates that no observation lies on or below."""
    data = [model.plates.closure(model.sites[name].plates) for name in model.observed]
    return tuple(
        name
        for name in model.latents
        if model.sites[name].plates
        and not any(set(model.sites[name].plates) <= below for below in data)
    )


def frames_of(model: HierarchicalModel, latents: Sequence[str]) -> tuple[Frame, ...]:
    """The frames of these latent sites and of all observed ones, finer before coarser."""
    graph, sites = model.plates, model.sites
    named: dict[frozenset[str], tuple[str, ...]] = {}
    for name in (*latents, *model.observed):
        if sites[name].plates:
            plates = tuple(sites[name].plates)
            named.setdefault(frozenset(plates), plates)
    reach = {key: graph.closure(plates) for key, plates in named.items()}
    order = sorted(named, key=lambda key: (-len(reach[key]), -len(key)))

    def above(key: frozenset[str]) -> list[frozenset[str]]:
        return [other for other in order if other != key and other <= reach[key]]

    direct = [
        tuple(
            order.index(one)
            for one in above(key)
            if not any(one in above(two) for two in above(key))
        )
        for key in order
    ]
    return tuple(
        Frame(
            plates=named[key],
            latents=tuple(n for n in latents if set(sites[n].plates) == key),
            observed=tuple(n for n in model.observed if set(sites[n].plates) == key),
            covariates=tuple(n for n in model.covariates if set(sites[n].plates) <= reach[key]),
            coarser=direct[number],
            finer=tuple(below for below, higher in enumerate(direct) if number in higher),
        )
        for number, key in enumerate(order)
    )
