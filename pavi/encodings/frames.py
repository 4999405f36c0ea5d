"""The frames of a model: what lies on the same plates, from the data up."""

from __future__ import annotations

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


def frames_of(model: HierarchicalModel) -> tuple[Frame, ...]:
    """The frames of all latent and observed sites on plates, finer before coarser.

    Raises:
        ValueError: If no observation lies on or below the plates of a latent site.
    """
    graph, sites = model.plates, model.sites
    named: dict[frozenset[str], tuple[str, ...]] = {}
    for name in (*model.latents, *model.observed):
        if sites[name].plates:
            named.setdefault(frozenset(sites[name].plates), sites[name].plates)
    reach = {key: graph.closure(plates) for key, plates in named.items()}
    order = sorted(named, key=lambda key: (-len(reach[key]), -len(key)))
    data = [graph.closure(sites[name].plates) for name in model.observed]
    for name in model.latents:
        plates = set(sites[name].plates)
        if plates and not any(plates <= below for below in data):
            raise ValueError(
                f"latent site {name!r} on plates {sorted(plates)} has no observations on or "
                "below its plates, so its encodings cannot be computed from data; use "
                "FreeEncodings, or HybridEncodings with free rows."
            )

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
            latents=tuple(n for n in model.latents if set(sites[n].plates) == key),
            observed=tuple(n for n in model.observed if set(sites[n].plates) == key),
            covariates=tuple(n for n in model.covariates if set(sites[n].plates) <= reach[key]),
            coarser=direct[number],
            finer=tuple(below for below, higher in enumerate(direct) if number in higher),
        )
        for number, key in enumerate(order)
    )
