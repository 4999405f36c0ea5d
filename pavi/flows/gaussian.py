r"""Gaussian flows that do not follow the prior, as mean-field families have them.

With the location :math:`m_0` and the scale :math:`s_0` that the site typically has in the prior,
whatever lies upstream,

.. math:: u = m_0 + s_0 \odot \big(\mu + e^{\ell} \odot (I + T)\, \epsilon\big), \qquad
    \log |\det \partial u / \partial \epsilon| = \sum_i (\log s_{0,i} + \ell_i)

with a strictly lower triangular :math:`T`, so that the covariance is any or, without it, diagonal.
Zero coefficients are :math:`N(m_0, s_0^2)`, about the marginal prior. Where the coefficients come
from makes the family: they are free numbers of the row (`GaussianFlow`), or a network computes
them from its encoding, and from what was drawn upstream (`BranchFlow`, `EncodedFlow`). Computed
locations have logarithmic tails beyond ten scales of the prior: one that is a multiple of the draw
above it, which is a multiple of the draw above that, must not run away in a bad step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from pavi.flows.affine import EVIDENCE_BOUND, soft_bound, soft_log_tails
from pavi.flows.base import Flow, FlowContext, ReferencedFlow
from pavi.flows.gaussian_head import GaussianHead, coefficients
from pavi.flows.triangle import mix, strictly_lower, unmix

# On the logarithm of the width: far outside what a posterior needs, close enough to keep exp()
# finite in a bad step.
LOG_WIDTH_BOUND = 15.0
# Of a computed one. A location divides its gradient by the width, and a network shares weights
# between the two: with 15, one ADAVI in five on random effects lost itself in widths that float32
# cannot tell from zero.
COMPUTED_LOG_WIDTH_BOUND = 8.0


@final
@dataclass(frozen=True)
class GaussianFlow(Flow):
    """A Gaussian of free location and covariance per row, in unconstrained space.

    Its coefficients are the encoding, so encodings must be free.

    Args:
        full: Whether the dimensions of one value may be correlated.
    """

    full: bool = False

    def encoding_dim(self, *, dim: int, upstream: int) -> int:
        """See `Flow.encoding_dim`."""
        return coefficients(dim, full=self.full)

    @property
    def follows_prior(self) -> bool:
        """See `Flow`."""
        return False

    def build(self, *, dim: int, upstream: int, encoding: int) -> Gaussian:
        """See `Flow.build`."""
        return Gaussian(dim=dim, full=self.full)


@final
class Gaussian(ReferencedFlow):
    """The module of `GaussianFlow`, and the last layer of others.

    Args:
        dim: The unconstrained dimension of one value.
        full: Whether the dimensions of one value may be correlated.
        head: Computes coefficients; by default the encoding holds them.
    """

    def __init__(self, *, dim: int, full: bool, head: GaussianHead | None = None) -> None:
        super().__init__(dim=dim)
        self._dim, self._full, self.head = dim, full, head

    def start(self, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`: the reference, whatever the parents are."""
        return self.reference()

    def forward(self, noise: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        location, log_width, triangle = self._coefficients(context)
        value = location + log_width.exp() * mix(triangle, noise)
        return value, log_width.expand(value.shape).sum(-1)

    def inverse(self, value: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        location, log_width, triangle = self._coefficients(context)
        noise = unmix(triangle, (value - location) / log_width.exp())
        return noise, log_width.expand(value.shape).sum(-1)

    def _coefficients(self, context: FlowContext) -> tuple[Tensor, Tensor, Tensor | None]:
        """Location, the logarithm of the width, and the strictly lower triangle, if any."""
        found = context.encoding if self.head is None else self.head(context)
        dim = self._dim
        moved, bound = found[..., :dim], LOG_WIDTH_BOUND
        if self.head is not None:
            moved, bound = soft_log_tails(moved, EVIDENCE_BOUND), COMPUTED_LOG_WIDTH_BOUND
        location = self.location + self.scale * moved
        log_width = self.scale.log() + soft_bound(found[..., dim : 2 * dim], bound)
        triangle = strictly_lower(found[..., 2 * dim :], dim) if self._full else None
        return location, log_width, triangle
