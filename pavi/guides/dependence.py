r"""Which sites, drawn before, the flow of a site may see.

Draw the sites coarse to fine. The exact posterior factorises along that order, and by
d-separation a site needs, of those drawn before it, its parents and the co-parents of the data
below it: an effect of a school depends on the intercept once the scores are given. `"faithful"`
lets it see all of these that lie within its reach, so that the exact posterior of every nested
linear-Gaussian model is in the family. `"parents"` is the form of the paper. `"none"` shows a flow
no values at all; the prior's location and scale, which it sees besides, still follow the parents,
and a flow that reads neither makes the sites independent.
"""

from __future__ import annotations

from enum import StrEnum

from pavi.core import HierarchicalModel


class Dependence(StrEnum):
    """What a flow may see."""

    PARENTS = "parents"
    FAITHFUL = "faithful"
    NONE = "none"


def drawing_order(model: HierarchicalModel) -> tuple[str, ...]:
    """The latent sites, parents first, and among those that are free to come next the coarsest."""
    graph = model.plates
    waiting = list(model.latents)
    order: list[str] = []
    while waiting:
        ready = [n for n in waiting if not set(model.sites[n].parents) & set(waiting)]
        chosen = min(ready, key=lambda n: len(graph.closure(model.sites[n].plates)))
        order.append(chosen)
        waiting.remove(chosen)
    return tuple(order)


def upstream_sites(model: HierarchicalModel, dependence: Dependence) -> dict[str, tuple[str, ...]]:
    """Per latent site, in drawing order, the latent sites drawn before that its flow sees."""
    if dependence is Dependence.NONE:
        return {name: () for name in drawing_order(model)}
    data_below = _observed_descendants(model)
    order = drawing_order(model)
    seen = {}
    for position, name in enumerate(order):
        site = model.sites[name]
        reach = model.plates.closure(site.plates)
        seen[name] = tuple(
            other
            for other in order[:position]
            if other in site.parents
            or (
                dependence is Dependence.FAITHFUL
                and set(model.sites[other].plates) <= reach
                and data_below[name] & data_below[other]
            )
        )
    return seen


def _observed_descendants(model: HierarchicalModel) -> dict[str, set[str]]:
    below: dict[str, set[str]] = {name: set() for name in model.sites}
    for name in model.observed:
        below[name].add(name)
    for name in reversed(model.sites):
        for parent in model.sites[name].parents:
            below[parent] |= below[name]
    return below
