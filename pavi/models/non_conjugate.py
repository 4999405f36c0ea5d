r"""A non-conjugate model (NC), with its exact evidence."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Gamma, Laplace

from pavi.core import HierarchicalModel, Latent, Observed, Plate

RATE, SCALE = 0.5, 0.3


def non_conjugate(*, dim: int = 2, rate: float = RATE, scale: float = SCALE) -> HierarchicalModel:
    r"""Laplace observations around a positive centre.

    .. math:: a \sim \mathrm{Gamma}(1, \mathrm{rate}\ r), \quad x_n \sim \mathrm{Laplace}(a, s)

    independently per dimension. Sites: `a (dim,)`, observed `x (obs, dim)`. Plate: `obs`.

    Args:
        dim: The dimension of an observation.
        rate: Of the gamma prior, :math:`r`.
        scale: Of an observation, :math:`s`.

    Reference:
        Rouillard and Wassermann (2022), ADAVI, section 3.3, where `x` is called `b`.
    """
    one = torch.ones(dim)
    return HierarchicalModel(
        plates=[Plate("obs")],
        sites={
            "a": Latent(lambda: Gamma(one, rate), event_shape=(dim,)),
            "x": Observed(lambda a: Laplace(a, scale), plates="obs", event_shape=(dim,)),
        },
    )


def nc_log_evidence(
    x: Float[Tensor, "obs dim"], *, rate: float = RATE, scale: float = SCALE
) -> float:
    r"""The exact :math:`\log p(x)`, in nats.

    Per dimension the joint density in :math:`a > 0` is the exponential of

    .. math:: h(a) = \log r - N \log 2s - r a - \sum_n |x_n - a| / s,

    which is linear between the knots: zero and the positive observations. A piece of width `w`
    whose ends are :math:`h_0, h_1` integrates to :math:`w\, e^{h_0} (e^{h_1 - h_0} - 1) / (h_1 -
    h_0)`, and what lies beyond the last knot, where the slope is :math:`-(r + N / s)`, to
    :math:`e^{h} / (r + N / s)`.

    Args:
        x: The observations.
        rate: Of the gamma prior.
        scale: Of an observation.
    """
    x = x.double()
    size = len(x)
    knots = torch.cat([torch.zeros_like(x[:1]), x.clamp(min=0).sort(0).values])
    distances = (x.unsqueeze(0) - knots.unsqueeze(1)).abs().sum(1)
    height = math.log(rate) - size * math.log(2 * scale) - rate * knots - distances / scale
    top = height.amax(0)
    low, high = (height[:-1] - top).exp(), (height[1:] - top).exp()
    rise, width = height[1:] - height[:-1], knots[1:] - knots[:-1]
    flat = rise.abs() < 1e-9
    slope = torch.where(flat, 1.0, rise)
    pieces = width * torch.where(flat, (low + high) / 2, (high - low) / slope)
    tail = (height[-1] - top).exp() / (rate + size / scale)
    return float((top + (pieces.sum(0) + tail).log()).sum())
