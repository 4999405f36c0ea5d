"""Where the prior of each latent site typically lies, in unconstrained space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from pavi.core import HierarchicalModel
from pavi.core.batch import whole
from pavi.core.distributions import location_and_scale, unvalidated

DRAWS = 2048
# The standard normal's interquartile range.
INTERQUARTILE = 1.3489795


@final
@dataclass(frozen=True)
class PriorReference:
    """Robust summaries of draws of one site from the prior, flattened to `(dim,)`.

    Args:
        center: The median of the site's values, over everything upstream.
        spread: Their interquartile range, in units of a standard deviation.
        location: The median location of the prior given the parents.
        scale: The median scale of the prior given the parents.
        offset: What to add to the location of a family that is not one of location and scale,
            to get the median of its unconstrained draws.
        scales: Whether the family reports its scale, which then varies with the parents.
    """

    center: Tensor
    spread: Tensor
    location: Tensor
    scale: Tensor
    offset: Tensor
    scales: bool


def prior_references(model: HierarchicalModel) -> dict[str, PriorReference]:
    """Summarise every latent site; covariates count as one.

    The summaries standardise the inputs of the flows. They are constants: any choice of them
    leaves the density of a guide exact.
    """
    try:
        return _summaries(model, torch.zeros((), dtype=torch.float64))
    except RuntimeError:
        # Matrix products do not mix types, and constants of a model have torch's default.
        return _summaries(model, torch.zeros(()))


def _summaries(model: HierarchicalModel, like: Tensor) -> dict[str, PriorReference]:
    """The same, by draws of the type of `like`."""
    sizes = dict.fromkeys(model.plates, 1)
    links = {
        name: {parent: torch.zeros(1, dtype=torch.int64) for parent in plate.within}
        for name, plate in model.plates.items()
    }
    covariates = {}
    for name in model.covariates:
        site = model.sites[name]
        covariates[name] = like.new_ones([*(1 for _ in site.plates), *site.event_shape])
    batch = whole(sizes, links, covariates, like=like)
    values: dict[str, Tensor] = {}
    found = {}
    with torch.random.fork_rng(devices=[]), unvalidated():
        torch.default_generator.manual_seed(0)
        for name in model.sites:
            if name in model.covariates:
                continue
            prior = model.conditional(name, values, batch, draws=DRAWS)
            values[name] = prior.sample()
            if name not in model.latents:
                continue
            transform = model.transform(prior)
            location, scale = location_and_scale(prior, transform)
            value = values[name] if transform is None else transform.inv(values[name])
            found[name] = _summarise(value, location, scale)
    return found


def _summarise(value: Tensor, location: Tensor, scale: Tensor | None) -> PriorReference:
    """Summarise draws `(draws, *plates, *event)`; a draw has one row on every plate."""
    center, spread = _median_and_spread(value)
    typical_location, _ = _median_and_spread(location.expand(value.shape))
    offset, width = _median_and_spread(value - location)
    if scale is not None:
        offset = torch.zeros_like(offset)
        width, _ = _median_and_spread(scale.expand(value.shape))
    return PriorReference(
        center=center,
        spread=spread,
        location=typical_location + offset,
        scale=width,
        offset=offset,
        scales=scale is not None,
    )


def _median_and_spread(draws: Tensor) -> tuple[Tensor, Tensor]:
    """The median and the interquartile range in standard deviations, `(dim,)`."""
    levels = torch.tensor([0.25, 0.5, 0.75], dtype=draws.dtype)
    low, middle, high = torch.quantile(draws.reshape(len(draws), -1), levels, dim=0)
    return middle, ((high - low) / INTERQUARTILE).clamp(min=1e-6)
