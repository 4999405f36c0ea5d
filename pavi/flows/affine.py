r"""The affine conditional flow, in the form of a conjugate update.

Given its parents, let a value have the prior :math:`N(m, s^2)` in unconstrained space, and let the
data below it act like one Gaussian measurement `y` of precision :math:`\lambda`. Then the
posterior given everything upstream is

.. math:: N\Big(m + \frac{r}{1 + r} (y - m),\ \frac{s^2}{1 + r}\Big), \qquad r = \lambda s^2.

In a linear-Gaussian model this is exact: `y` is linear in the upstream draws (what is left of the
data once the other effects are taken out), with coefficients that are statistics of the row's own
data; and :math:`\lambda = n / \sigma^2` is log-linear in them when `sigma` is unknown too. So the
coefficients come from the encoding `e`, by linear maps, as

.. math::
    r &= \kappa\, (e^{x(e)} - 1), \qquad \kappa = (s / s_0)^2 \exp\big(d(e)\, v\big) \\
    \frac{r}{1 + r} (y - m_0) &= \frac{r}{1 + r} \frac{1 + \bar r}{\bar r}\,
        s_0\, \big(b(e) + C(e)\, v\big), \qquad \bar r = e^{x(e)} - 1

with the upstream values `v`, standardised, and the typical location and scale :math:`m_0, s_0` of
the prior. For :math:`\kappa = 1` the factor in front of :math:`s_0` is one: location and precision
are learned apart. :math:`x = b = C = d = 0` is the prior.
A site with one ground variable has nothing but the noise of others like it upstream. With these,
standard normal as it is, it is correlated in units of its own width `w`:

.. math:: \frac{r}{1 + r} (y - m_0) = s_0\, b(e) + w\, C(e)\, v.

In units of the prior a step of the optimiser would be many widths of a well-determined value, and
a wrong coefficient many widths too: what noise a value was made from is then told with an error
that grows by :math:`s_0 C / w` from each such value to the next, and with it the path gradient.

The width has no parameter of its own: with one, a fit can get the width right at a wrong
:math:`r`, children then follow their parents too closely, and the parents' posterior collapses.

With a triangle dimensions are correlated: what one of them is moved by another is a regression on
the value, whose coefficient :math:`-\Lambda_{kj} / (\Lambda_{kk} + s_k^{-2})` follows the prior's
scale by the same factor as the location, and not one on its noise. Where the prior of `j` is
narrow, `j` does not move, and so moves nothing.

That the scale of the prior enters the way Bayes' rule says, not as one more free regressor, is
what lets a group effect follow its hyper-parameters when these are themselves uncertain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from pavi.flows.base import Flow, FlowContext, ReferencedFlow
from pavi.flows.triangle import mix, strictly_lower, unmix

# Soft bounds: far outside what a posterior needs, close enough to keep exp() finite in a bad step.
LOG_GAIN_BOUND = 30.0
LOG_COUPLING_BOUND = 6.0
LOG_WIDENING_BOUND = 3.0
# How far a posterior may lie from the prior, in typical scales of the prior, before the flow
# resists: a fit that overshoots must not reach scales that float32 takes for zero.
EVIDENCE_BOUND = 10.0
# How many times its typical coefficient a dimension's regression on another may be when the prior
# is wide. Data with half the precision of a typical prior let it grow to three; before a fit has
# learned of any precision nothing else would bound it.
REGRESSION_BOUND = 3.0
# Wider couplings than this go through a shared projection.
FULL_COUPLING = 16
RANK = 8


@final
@dataclass(frozen=True)
class AffineFlow(Flow):
    """Affine in the noise; exact on linear-Gaussian models.

    Args:
        full: Mix the dimensions of the noise by a unit lower-triangular matrix, so that the
            dimensions of one value may be correlated.
        direct: Whether the encoding is the coefficients themselves, and not what they are computed
            from by weights that rows share: for sites of hundreds of dimensions.
    """

    full: bool = False
    direct: bool = False

    def encoding_dim(self, *, dim: int, upstream: int) -> int | None:
        """See `Flow.encoding_dim`."""
        return sum(_sizes(dim, upstream, full=self.full)) if self.direct else None

    @property
    def correlates(self) -> bool:
        """See `Flow.correlates`."""
        return self.full

    def build(self, *, dim: int, upstream: int, encoding: int) -> Affine:
        """See `Flow.build`."""
        return Affine(
            dim=dim, upstream=upstream, encoding=encoding, full=self.full, direct=self.direct
        )


@final
@dataclass(frozen=True)
class _Coefficients:
    """The map of one row, `location + shift + typical * T(width / typical * noise)`.

    Args:
        shift: Of the location.
        width: The standard deviation given the dimensions before.
        log_width: Its logarithm.
        typical: The width under the typical prior, the unit of what dimensions are moved by.
        triangle: The unit lower-triangular `T` without its diagonal; none if dimensions are apart.
    """

    shift: Tensor
    width: Tensor
    log_width: Tensor
    typical: Tensor
    triangle: Tensor | None


@final
class Affine(ReferencedFlow):
    """The module of `AffineFlow`.

    Args:
        dim: The unconstrained dimension of one value.
        upstream: The number of upstream values; beyond 16 they are coupled through 8 shared
            linear combinations of them.
        encoding: The length of an encoding; none leaves the coefficients that all rows share.
        full: Whether the noise is mixed by a triangular matrix.
        direct: Whether the encoding is the coefficients.
    """

    own: Tensor | None

    def __init__(
        self, *, dim: int, upstream: int, encoding: int, full: bool, direct: bool = False
    ) -> None:
        super().__init__(dim=dim)
        self._dim, self._rank = dim, _rank(upstream)
        self._sizes = _sizes(dim, upstream, full=full)
        self.head = None if direct else self._new_head(encoding)
        self.project = nn.Linear(upstream, RANK, bias=False) if upstream > FULL_COUPLING else None
        # Which weights learn; all of them if None.
        self.register_buffer("own", None, persistent=False)
        self._alone = False

    def _new_head(self, encoding: int) -> nn.Linear:
        """The linear map from encodings to coefficients."""
        dim = self._dim
        # The bias is what all rows share: their coupling, the precision of a typical row.
        head = nn.Linear(max(encoding, 1), sum(self._sizes))
        if not encoding:  # Torch warns of a layer without inputs; one without weights will do.
            head.weight = nn.Parameter(head.weight.detach()[:, :0])
        nn.init.zeros_(head.bias)
        nn.init.zeros_(head.weight)
        # Every output starts on a coordinate of the encoding of its own, as far as there are
        # enough: gradients of locations, precisions and couplings differ in size by orders of
        # magnitude, and an optimiser that scales each coordinate by its own gradients keeps them
        # apart only like this. Couplings share what locations and precisions leave.
        outputs = torch.arange(sum(self._sizes) if encoding else 0)
        coordinates = outputs % max(encoding, 1)
        if encoding > 2 * dim:
            couplings = outputs >= 2 * dim
            coordinates[couplings] = 2 * dim + outputs[: couplings.sum()] % (encoding - 2 * dim)
        else:
            outputs, coordinates = outputs[: 2 * dim], coordinates[: 2 * dim]
        with torch.no_grad():
            head.weight[outputs, coordinates] = 1.0
        return head

    def keep_apart(self) -> None:
        """See `ConditionalFlow`; couplings then are correlations, in units of the width."""
        self._alone = True
        if self.head is not None:
            self.own = self.head.weight.detach() != 0

    def forward(self, noise: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        found = self._coefficients(context)
        moved = found.width * noise
        if found.triangle is not None:
            moved = found.typical * mix(found.triangle, moved / found.typical)
        value = context.location + found.shift + moved
        return value, found.log_width.expand(value.shape).sum(-1)

    def inverse(self, value: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        found = self._coefficients(context)
        moved = value - context.location - found.shift
        if found.triangle is not None:
            moved = found.typical * unmix(found.triangle, moved / found.typical)
        return moved / found.width, found.log_width.expand(value.shape).sum(-1)

    def _coefficients(self, context: FlowContext) -> _Coefficients:
        """The map of one row."""
        b, x, c, d, triangle = self._computed(context.encoding).split(self._sizes, dim=-1)
        evidence, log_coupling, coupled = b, None, None
        if self._rank:
            v = context.upstream if self.project is None else self.project(context.upstream)
            coupled = self._couple(c, v)
            if not self._alone:
                evidence = b + coupled
            log_coupling = soft_bound(self._couple(d, v), LOG_COUPLING_BOUND)
        # kappa is what upstream draws make of the precision. A negative x widens the prior, which
        # no conjugate update does; there log(1 + r) = x whatever kappa is.
        positive = soft_bound(x.clamp(min=0), LOG_GAIN_BOUND)
        negative = soft_bound(x.clamp(max=0), LOG_WIDENING_BOUND)
        gain, kappa, follows = torch.expm1(positive), None, None
        if log_coupling is not None:
            kappa = log_coupling.exp()
        if context.relative_scale is not None:
            square = context.relative_scale.square()
            kappa = square if kappa is None else kappa * square
        if kappa is None:
            log_one_plus_r = positive + negative
        else:
            log_gained = torch.log1p(kappa * gain)
            log_one_plus_r = log_gained + negative
            follows = kappa * torch.exp(positive - log_gained)
            evidence = evidence * follows
        pull = -torch.expm1(-log_one_plus_r)
        moved = self.scale * soft_log_tails(evidence, EVIDENCE_BOUND)
        shift = moved - pull * (context.location - self.location)
        log_width = context.scale.log() - 0.5 * log_one_plus_r
        width = log_width.exp()
        if self._alone and coupled is not None:
            shift = shift + width * coupled
        lower = strictly_lower(triangle, self._dim)
        if lower is None:
            return _Coefficients(shift, width, log_width, width, None)
        typical = self.scale * torch.exp(-0.5 * (positive + negative))
        if follows is not None:
            lower = soft_log_tails(follows, REGRESSION_BOUND).unsqueeze(-1) * lower
        return _Coefficients(shift, width, log_width, typical, lower)

    def _computed(self, encoding: Tensor) -> Tensor:
        """The coefficients, side by side."""
        if self.head is None:
            return encoding
        weight = self.head.weight
        if self.own is not None:
            weight = torch.where(self.own, weight, weight.detach())
        return functional.linear(encoding, weight, self.head.bias)

    def _couple(self, matrix: Tensor, v: Tensor) -> Tensor:
        """The product of a `(dim, rank)` matrix per row with the upstream values."""
        matrix = matrix.unflatten(-1, (self._dim, self._rank))
        return (matrix * v.unsqueeze(-2)).sum(-1)


def _rank(upstream: int) -> int:
    """How many numbers upstream values are coupled through."""
    return upstream if upstream <= FULL_COUPLING else RANK


def _sizes(dim: int, upstream: int, *, full: bool) -> list[int]:
    """How many coefficients there are: `b`, `x`, `C`, `d` and the triangle."""
    rank = _rank(upstream)
    return [dim, dim, dim * rank, dim * rank, dim * (dim - 1) // 2 if full else 0]


def soft_bound(value: Tensor, bound: float) -> Tensor:
    """Close to the identity for small values, within `bound` for all."""
    return bound * torch.tanh(value / bound)


def soft_log_tails(value: Tensor, bound: float) -> Tensor:
    r"""The identity up to `bound`, and beyond it :math:`\pm(b + \log(1 + |v| - b))`.

    Reference:
        Andrade (2024), Stabilizing training of affine coupling layers for high-dimensional
        variational inference, which calls it LOFT.
    """
    inside = value.clamp(-bound, bound)
    return inside + (value - inside).sign() * torch.log1p((value - inside).abs())


def standard_normal_log_prob(noise: Tensor) -> Tensor:
    """The log density of independent standard normal noise, summed over the last axis."""
    return -0.5 * (noise.square().sum(-1) + noise.shape[-1] * math.log(2 * math.pi))
