"""Where a site that has an `init` starts, in unconstrained space."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import biject_to

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.distributions import is_real
from pavi.core.initial import start_of
from pavi.core.sites import Latent


def unconstrained_start(model: HierarchicalModel, name: str, batch: PlateBatch) -> Tensor | None:
    """The start of a latent site, `(*plates, *event)`; None if it has no `init`.

    Args:
        model: The template.
        name: The site.
        batch: All data.

    Raises:
        ValueError: If the `init` does not fit the site or lies outside its support.
    """
    site = model.sites[name]
    assert isinstance(site, Latent)
    if site.init is None:
        return None
    value = start_of(name, site.init, plates=site.plates, event=site.event_shape, batch=batch)
    support = model.supports[name]
    if is_real(support):
        return value
    if not bool(support.check(value).all()):
        raise ValueError(
            f"init of site {name!r} lies outside the support of its distribution, {support}."
        )
    return biject_to(support).inv(value)
