r"""Automatic structured variational inference: the prior, mixed with free parameters.

Each parameter of the prior given its parents is mixed with a free one, per ground variable,

.. math::
    \mathrm{loc}_q &= \lambda\, \mathrm{loc}_p(\mathrm{pa}) + (1 - \lambda)\, \alpha, \qquad
        \lambda = \sigma(\mathrm{free}) \\
    \mathrm{scale}_q &= \lambda'\, \mathrm{scale}_p(\mathrm{pa}) + (1 - \lambda')\, \alpha'

:math:`\lambda = 1` is the prior, :math:`\lambda = 0` is mean field. With the typical location and
scale :math:`m_0, s_0` of the prior and the gate :math:`\lambda_0` at the start, the free parts are

.. math:: \alpha = m_0 + s_0\, a / (1 - \lambda_0), \qquad \alpha' = s_0\, e^{a'}

Both act in unconstrained space, so :math:`\lambda = \lambda' = 1` is the prior where that is
Gaussian there: for normal and log-normal sites.

For other families this is not the published one, which mixes the parameters of each: a
Gamma prior becomes :math:`\mathrm{Gamma}(\lambda\, a_p + (1 - \lambda)\, \alpha,\
\lambda'\, b_p + (1 - \lambda')\, \beta)`, a Dirichlet one
:math:`\mathrm{Dirichlet}(\lambda\, c_p + (1 - \lambda)\, \gamma)`, and gates at one are the prior.
Here such a site is a Gaussian of :math:`\log \theta` (of stick-breaking logits), whose
:math:`\mathrm{loc}_p` is that of the mean of the prior given the parents, moved by a constant to
the typical median, and whose :math:`\mathrm{scale}_p` is the typical scale, whatever the parents
are. So the gates mix logarithms of means and not parameters, the width does not follow the
parents, and with gates at one the shape is log-normal: the median and the interquartile range
are right, the tails are not. The published family is no map of Gaussian noise, as torch has no
quantile function of a gamma: it would be a guide of its own, without warm-ups or mirrored draws.

The free location is scaled so that :math:`a` moves the location by the same amount wherever the
gate starts.

In a linear-Gaussian model whose sites have one parent each, such as Gaussian random effects, the
posterior is of this form: Bayes' rule gives a location :math:`(1 - r)\, \mathrm{loc}_p + r y`, and
the scale is a constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from pavi.flows.affine import soft_bound
from pavi.flows.base import Flow, FlowContext, ReferencedFlow
from pavi.flows.gaussian import LOG_WIDTH_BOUND


@final
@dataclass(frozen=True)
class ASVIFlow(Flow):
    """The prior's location and scale, each mixed with a free parameter of the row.

    Its coefficients are the encoding, so encodings must be free. The mixing is that of Gaussians
    in unconstrained space, where the original mixes the parameters of the prior's own family.

    Args:
        start: The gates before training; towards 1 the start is the prior.

    Raises:
        ValueError: If `start` is not between 0 and 1; at 0 and 1 gates have no gradient.

    Reference:
        Ambrogioni et al. (2021), Automatic structured variational inference, equation 5.
    """

    start: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.start < 1:
            raise ValueError(
                f"start of the gates must lie between 0 and 1, ends excluded, got {self.start}."
            )

    def encoding_dim(self, *, dim: int, upstream: int) -> int:
        """See `Flow.encoding_dim`."""
        return 4 * dim

    def build(self, *, dim: int, upstream: int, encoding: int) -> ASVI:
        """See `Flow.build`."""
        return ASVI(dim=dim, start=self.start)


@final
class ASVI(ReferencedFlow):
    """The module of `ASVIFlow`.

    An encoding is :math:`a`, :math:`a'` and what is added to the logits of the gates of location
    and scale, `(dim,)` each.

    Args:
        dim: The unconstrained dimension of one value.
        start: The gates at a zero encoding.
    """

    def __init__(self, *, dim: int, start: float) -> None:
        super().__init__(dim=dim)
        self._start = start

    def start(self, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`: half way from the reference to the prior, or as far as chosen."""
        gate = self._start
        return (
            gate * context.location + (1 - gate) * self.location,
            gate * context.scale + (1 - gate) * self.scale,
        )

    def forward(self, noise: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        location, scale = self._mixed(context)
        value = location + scale * noise
        return value, scale.log().expand(value.shape).sum(-1)

    def inverse(self, value: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        location, scale = self._mixed(context)
        return (value - location) / scale, scale.log().expand(value.shape).sum(-1)

    def _mixed(self, context: FlowContext) -> tuple[Tensor, Tensor]:
        shift, log_width, gate, scale_gate = context.encoding.chunk(4, dim=-1)
        logit = math.log(self._start) - math.log1p(-self._start)
        free_location = self.location + self.scale * shift / (1 - self._start)
        free_scale = self.scale * soft_bound(log_width, LOG_WIDTH_BOUND).exp()
        return (
            torch.lerp(free_location, context.location, torch.sigmoid(logit + gate)),
            torch.lerp(free_scale, context.scale, torch.sigmoid(logit + scale_gate)),
        )
