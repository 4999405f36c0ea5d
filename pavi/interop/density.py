r"""The log posterior density of a model and its data, as a function of one flat vector.

Every latent site is a function of standardised numbers :math:`z`. Where the prior is a family of
location and scale, the site is non-centred,

.. math:: \theta = T(m(\mathrm{pa}) + s(\mathrm{pa})\, z), \qquad
    \log p(z) = \log p(\theta) + \log |\det \partial \theta / \partial z|,

with the map `T` from unconstrained space to the support. For other families, and for a centred
site, :math:`m` and :math:`s` are constants, the typical location and spread of the prior.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import final

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, biject_to
from torch.distributions.transforms import Transform

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.distributions import is_real, location_and_scale, unvalidated
from pavi.guides.prior import PriorReference, prior_references
from pavi.interop.tape import Tape


@final
class LogDensity:
    """The unnormalised log posterior and its gradient.

    Args:
        model: The template.
        batch: All data, in double precision.
        centred: The latent sites that are not taken apart into location, scale and noise.

    Attributes:
        dim: The length of the flat vector.

    Raises:
        ValueError: If a centred site does not exist.
    """

    def __init__(
        self, model: HierarchicalModel, batch: PlateBatch, *, centred: Sequence[str] = ()
    ) -> None:
        if unknown := [name for name in centred if name not in model.latents]:
            raise ValueError(
                f"centred names {unknown[0]!r}, which is not a latent site; these are "
                f"{list(model.latents)}."
            )
        self.model, self.batch, self._centred = model, batch, frozenset(centred)
        self._references = prior_references(model)
        self._shapes = {name: self._shape(name) for name in model.latents}
        self._sizes = [prod(shape) for shape in self._shapes.values()]
        self.dim = sum(self._sizes)

    def __call__(self, flat: Tensor) -> Tensor:
        """The log densities of standardised vectors `(draws, dim)`, `(draws,)`."""
        return self._walk(flat)[1]

    def values(self, flat: Tensor) -> dict[str, Tensor]:
        """The latent sites of standardised vectors `(draws, dim)`, `(draws, *plates, *event)`."""
        values = self._walk(flat, latents_only=True)[0]
        shapes = {
            name: self.batch.shape(self.model.sites[name].plates) for name in self.model.latents
        }
        return {
            name: value.expand(len(flat), *shapes[name], *value.shape[1 + len(shapes[name]) :])
            for name, value in values.items()
        }

    def value_and_gradient(
        self, *, compile: bool = False
    ) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """The function from one vector `(dim,)` to its log density and the gradient.

        Args:
            compile: Whether to compile it, see `Tape`.
        """
        return Tape(self, torch.zeros(self.dim, dtype=torch.float64), compile=compile)

    def _shape(self, name: str) -> tuple[int, ...]:
        """The shape of one draw of a site in unconstrained space, `(*plates, *event)`."""
        site, support = self.model.sites[name], self.model.supports[name]
        event = torch.Size(site.event_shape)
        if not is_real(support):
            event = biject_to(support).inverse_shape(event)
        return (*self.batch.shape(site.plates), *event)

    def _walk(
        self, flat: Tensor, *, latents_only: bool = False
    ) -> tuple[dict[str, Tensor], Tensor]:
        draws = len(flat)
        pieces = dict(zip(self._shapes, flat.split(self._sizes, dim=-1), strict=True))
        total = flat.new_zeros(draws)
        values: dict[str, Tensor] = {}
        with unvalidated():
            for name in self.model.sites:
                if name in self.model.latents:
                    noise = pieces[name].reshape(draws, *self._shapes[name])
                    prior = self.model.conditional(name, values, self.batch, draws=draws)
                    values[name], log_det = self._placed(name, noise, prior)
                    factor = prior.log_prob(values[name])
                    total = total + log_det + factor.reshape(draws, -1).sum(1)
                elif name in self.model.observed and not latents_only:
                    factor = self.model.log_factor(name, values, self.batch, draws=draws)
                    total = total + factor.reshape(draws, -1).sum(1)
        return values, total

    def _placed(self, name: str, noise: Tensor, prior: Distribution) -> tuple[Tensor, Tensor]:
        """The value of a site, and the log determinant summed over its rows, `(draws,)`."""
        transform = self.model.transform(prior)
        draws = len(noise)
        if name in self._centred:
            free, log_det = _standardised(noise, self._references[name])
        else:
            free, log_det = _located(noise, prior, transform, self._references[name])
        log_det = log_det.expand(draws, *log_det.shape[1:]).reshape(draws, -1).sum(1)
        if transform is None:
            return free, log_det
        value = transform(free)
        ladj = transform.log_abs_det_jacobian(free, value)
        return value, log_det + ladj.reshape(draws, -1).sum(1)


def _located(
    noise: Tensor, prior: Distribution, transform: Transform | None, reference: PriorReference
) -> tuple[Tensor, Tensor]:
    """Noise moved by the prior's location and scale, and the log determinant of every row."""
    base = prior
    while isinstance(base, Independent):
        base = base.base_dist
    if isinstance(base, MultivariateNormal):
        moved = (base.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
        diagonal = base.scale_tril.diagonal(dim1=-2, dim2=-1)
        return base.loc + moved, diagonal.log().expand(noise.shape)
    if not reference.scales:
        return _standardised(noise, reference)
    location, scale = location_and_scale(prior, transform)
    assert scale is not None
    return location + scale * noise, scale.log().expand(noise.shape)


def _standardised(noise: Tensor, reference: PriorReference) -> tuple[Tensor, Tensor]:
    """Noise moved by constants `(dim,)`, and the log determinant of every entry."""
    event = noise.shape[noise.ndim - _event_rank(noise, reference) :]
    center = reference.center.to(noise).reshape(event)
    spread = reference.spread.to(noise).reshape(event)
    return center + spread * noise, spread.log().expand(noise.shape)


def _event_rank(noise: Tensor, reference: PriorReference) -> int:
    """How many of the last axes of the noise hold one value."""
    rank, size = 0, 1
    while size < len(reference.center):
        rank += 1
        size *= noise.shape[-rank]
    return rank
