r"""All latents as one vector in unconstrained space.

With :math:`T` the map from a vector `z` to the values :math:`\theta`, site by site and row by row,

.. math:: \log q(\theta) = \log q(z) - \sum_i \sum_n \log |\det T_i'(z_{i,n})|.

Supports may depend on parents, so values are made parents first.

A joint density :math:`\log q(z)` is no sum over sites. It is spread evenly over the entries of the
vector: a ground variable of `d` of the `D` entries gets :math:`\tfrac dD \log q(z)` and its own
log-determinant. The sum over sites and rows is exact; the parts mean nothing one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import biject_to

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.distributions import is_real
from pavi.guides.base import Draws
from pavi.guides.completeness import check_cardinalities
from pavi.guides.prior import prior_references
from pavi.guides.start import unconstrained_start


@final
class LatentVector(nn.Module):
    """Takes all latents to one vector and back.

    Args:
        model: The template.
        cardinalities: The number of rows of each plate.

    Attributes:
        dim: The length of the vector.
        location: The median of every entry in the prior, `(dim,)`.
        scale: The spread of every entry in the prior, in standard deviations, `(dim,)`.

    Raises:
        ValueError: If a plate has no cardinality, or another name has one.
    """

    location: Tensor
    scale: Tensor

    def __init__(self, model: HierarchicalModel, cardinalities: Mapping[str, int]) -> None:
        super().__init__()
        check_cardinalities(model, cardinalities)
        self._model = model
        self._plates: dict[str, tuple[int, ...]] = {}
        self._events: dict[str, tuple[int, ...]] = {}
        references, locations, scales = prior_references(model), [], []
        for name in model.latents:
            site, support = model.sites[name], model.supports[name]
            event = tuple(site.event_shape)
            if not is_real(support):
                event = tuple(biject_to(support).inverse_shape(torch.Size(event)))
            self._events[name] = event
            self._plates[name] = tuple(cardinalities[plate] for plate in site.plates)
            rows = prod(self._plates[name])
            locations.append(references[name].center.repeat(rows))
            scales.append(references[name].spread.repeat(rows))
        dtype = torch.get_default_dtype()
        self.register_buffer("location", torch.cat(locations).to(dtype))
        self.register_buffer("scale", torch.cat(scales).to(dtype))
        self.dim = len(self.location)

    def values(self, vector: Float[Tensor, "draws dim"], batch: PlateBatch) -> Draws:
        """The values of all sites, their prior, and in `log_q` minus the log-determinants."""
        draws, found = len(vector), Draws()
        for name, part in zip(self._events, vector.split(self._sizes(), dim=-1), strict=True):
            prior = self._model.conditional(name, found.values, batch, draws=draws)
            transform = self._model.transform(prior)
            value = part.reshape(draws, *self._plates[name], *self._events[name])
            log_det = vector.new_zeros(draws, *self._plates[name])
            if transform is not None:
                constrained = transform(value)
                log_det = transform.log_abs_det_jacobian(value, constrained)
                value = constrained
            found.values[name] = value
            found.log_p[name] = prior.log_prob(value)
            found.log_q[name] = -log_det
        return found

    def vector(
        self, values: Mapping[str, Tensor], batch: PlateBatch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The vector of given values, `(draws, dim)`, and minus the log-determinants."""
        parts, minus = [], {}
        for name in self._events:
            value = values[name]
            draws = len(value)
            prior = self._model.conditional(name, values, batch, draws=draws)
            transform = self._model.transform(prior)
            minus[name] = value.new_zeros(draws, *self._plates[name])
            if transform is not None:
                free = transform.inv(value)
                minus[name] = -transform.log_abs_det_jacobian(free, value)
                value = free
            parts.append(value.reshape(draws, -1))
        return torch.cat(parts, dim=-1), minus

    def spread(
        self, joint: Float[Tensor, " draws"], minus: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The joint log density of the vector over the sites, with their log-determinants.

        Args:
            joint: Of the vector.
            minus: Per site, minus its log-determinants, `(draws, *plates)`.
        """
        found = {}
        for name, log_det in minus.items():
            share = joint * (prod(self._events[name]) / self.dim)
            found[name] = log_det + share.reshape(-1, *(1 for _ in self._plates[name]))
        return found

    @torch.no_grad()
    def start(self, batch: PlateBatch) -> None:
        """Put the location of the sites that have an `init` there.

        Args:
            batch: All data.

        Raises:
            ValueError: If an `init` does not fit its site.
        """
        for name, part in zip(
            self._events, self.location.split(self._sizes(), dim=-1), strict=True
        ):
            value = unconstrained_start(self._model, name, batch)
            if value is not None:
                part.copy_(value.flatten())

    def _sizes(self) -> list[int]:
        return [prod(self._plates[name]) * prod(self._events[name]) for name in self._events]
