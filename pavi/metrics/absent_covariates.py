"""Which covariates a draw needs that the data do not hold."""

from __future__ import annotations

from collections.abc import Iterable

from pavi.data import PlateData
from pavi.guides.base import Guide
from pavi.guides.dependence import Dependence, upstream_sites


def absent_covariates(guide: Guide, data: PlateData, sites: Iterable[str]) -> dict[str, list[str]]:
    """The absent covariates in the priors of these sites and of all that their draws depend on.

    Args:
        guide: The guide; one that does not say what its flows see is taken as faithful.
        data: The data, such as those of a posterior that was loaded without.
        sites: Latent sites.

    Returns:
        Per site that cannot be drawn for want of a covariate, these covariates.
    """
    model = guide.model
    if all(name in data.measured for name in model.covariates):
        return {}
    dependence = Dependence(str(guide.config().get("dependence", Dependence.FAITHFUL)))
    upstream = upstream_sites(model, dependence)
    waiting, drawn = list(sites), set[str]()
    absent: dict[str, list[str]] = {}
    while waiting:
        name = waiting.pop()
        if name in drawn:
            continue
        drawn.add(name)
        parents = model.sites[name].parents
        waiting += [*upstream[name], *(parent for parent in parents if parent in model.latents)]
        lacking = [p for p in parents if p in model.covariates and p not in data.measured]
        if lacking:
            absent[name] = lacking
    return absent
