"""The density of given values under the fitted guide."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pavi.data import PlateData
from pavi.data.chunks import Chunks
from pavi.data.rows import take_rows
from pavi.guides.base import Guide
from pavi.posterior.fitted import Fitted
from pavi.posterior.joint_draws import BUDGET


def log_prob(
    posterior: Fitted, values: Mapping[str, Any], *, by_site: bool = False, budget: int = BUDGET
) -> Any:
    """The log density of given values of all latents, `(draws, *plates, *event)`, as fitted.

    Args:
        posterior: The posterior.
        values: Per latent site.
        by_site: Whether to return a dict of each site's part.
        budget: How many numbers a chunk may hold.

    Returns:
        The sum over rows and sites, `(draws,)` in float64.

    Raises:
        ValueError: If a site is absent or of another shape, a value lies outside of its
            support, or the guide has no tractable density.
    """
    terms = log_density(posterior.guide, posterior.data, values, budget=budget)
    return terms if by_site else torch.stack(list(terms.values())).sum(0)


@torch.no_grad()
def log_density(
    guide: Guide, data: PlateData, values: Mapping[str, Any], *, budget: int
) -> dict[str, Tensor]:
    r"""The log density of given values of all latents, site by site.

    .. math:: \log q(\theta) = \sum_i \sum_n \log q_i(\theta_{i,n} \mid \theta_{\mathrm{up}(i),n})

    Args:
        guide: The guide.
        data: The data.
        values: Of all latent sites, `(draws, *plates, *event)`.
        budget: How many numbers a chunk may hold; a guide that draws all at once has one chunk.

    Returns:
        Per site the sum over its rows, `(draws,)` in float64.

    Raises:
        ValueError: If a site is absent, unknown or of another shape, a value lies outside the
            support of its site, or the density of the guide is not tractable.
    """
    tensors = _read(guide, data, values)
    draws = len(next(iter(tensors.values())))
    chunks = Chunks(data, draws=draws, budget=sys.maxsize if guide.whole else budget)
    batches = chunks.batches(seed=0, observed=guide.whole)
    found: dict[str, Tensor] = {}
    for number, (rows, batch) in enumerate(zip(chunks.rows(), batches, strict=True)):
        part = {
            site: take_rows(value, data.model.sites[site].plates, rows, lead=1)
            for site, value in tensors.items()
        }
        for site, factor in guide.log_prob(part, batch).items():
            if number and chunks.shared(site):
                continue
            total = factor.double().reshape(draws, -1).sum(1)
            if bad := int(total.isnan().sum()):
                raise ValueError(
                    f"values of {site!r}: {bad} of {draws} draws have no density; its values must "
                    f"be in the support {data.model.supports[site]} of its prior."
                )
            found[site] = found[site] + total if site in found else total
    return found


def _read(guide: Guide, data: PlateData, values: Mapping[str, Any]) -> dict[str, Tensor]:
    model, latents = guide.model, list(guide.model.latents)
    if absent := [site for site in latents if site not in values]:
        raise ValueError(
            f"values of {absent} are missing; a density needs all latent sites {latents}, got "
            f"{list(values)}."
        )
    if unknown := [site for site in values if site not in model.latents]:
        raise ValueError(
            f"{unknown} are no latent sites of the model; a density is of {latents} alone."
        )
    tensors = {site: torch.as_tensor(values[site]).to(data.like) for site in latents}
    draws, first = None, latents[0]
    for site, tensor in tensors.items():
        spec = model.sites[site]
        rows = {plate: data.cardinalities[plate] for plate in spec.plates}
        expected = (*rows.values(), *spec.event_shape)
        if site == first and tensor.ndim == 1 + len(expected):
            draws = len(tensor)
        if tuple(tensor.shape) != (draws, *expected):
            axes = ["draws" if site == first else f"{draws} draws as in {first!r}"]
            axes += [f"{size} rows of {plate!r}" for plate, size in rows.items()]
            axes += map(str, spec.event_shape)
            raise ValueError(
                f"values of {site!r} have the shape {tuple(tensor.shape)}; expected "
                f"({', '.join(axes)})."
            )
    return tensors
