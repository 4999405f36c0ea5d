r"""Gaussian random effects (GRE), with its exact evidence and posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Normal

from pavi.core import HierarchicalModel, Latent, Observed, Plate


def gaussian_random_effects(
    *, dim: int = 2, scales: tuple[float, float, float] = (0.5, 0.5, 0.1)
) -> HierarchicalModel:
    r"""Groups of observations around group means around one population mean.

    .. math:: \mu \sim N(0, s_\mu^2 I), \quad \mu_g \sim N(\mu, s_g^2 I), \quad
        x_{gn} \sim N(\mu_g, s_x^2 I)

    Sites: `mu (dim,)`, `mu_g (group, dim)`, observed `x (group, obs, dim)`.

    Args:
        dim: The dimension of an observation.
        scales: The standard deviations :math:`s_\mu, s_g, s_x`.

    Reference:
        Rouillard and Wassermann (2022), ADAVI, section 3.
    """
    s_mu, s_g, s_x = scales
    zero = torch.zeros(dim)
    return HierarchicalModel(
        plates=[Plate("group"), Plate("obs")],
        sites={
            "mu": Latent(lambda: Normal(zero, s_mu), event_shape=(dim,)),
            "mu_g": Latent(lambda mu: Normal(mu, s_g), plates="group", event_shape=(dim,)),
            "x": Observed(
                lambda mu_g: Normal(mu_g, s_x), plates=("group", "obs"), event_shape=(dim,)
            ),
        },
    )


@final
@dataclass(frozen=True)
class GREPosterior:
    r"""The exact posterior of GRE and its evidence.

    With group means :math:`\bar x_g` of `N` observations each, :math:`v = s_g^2 + s_x^2 / N`,

    .. math::
        \mu \mid x &\sim N\big(p^{-1} \textstyle\sum_g \bar x_g / v,\ p^{-1}\big),
            \quad p = s_\mu^{-2} + G / v \\
        \mu_g \mid \mu, x &\sim N\big(c\,(\mu / s_g^2 + N \bar x_g / s_x^2),\ c\big),
            \quad c^{-1} = s_g^{-2} + N / s_x^2

    per dimension, all in float64.

    Args:
        mean: Of `mu`, `(dim,)`.
        sd: Of `mu`.
        group_data: The part of the group mean that comes from data,
            :math:`c N \bar x_g / s_x^2`, `(group, dim)`.
        group_slope: How a group mean follows `mu`, :math:`c / s_g^2`.
        group_sd: Of a group mean given `mu`.
        log_evidence: :math:`\log p(x)`, in nats.
    """

    mean: Float[Tensor, " dim"]
    sd: float
    group_data: Float[Tensor, "group dim"]
    group_slope: float
    group_sd: float
    log_evidence: float


def gre_posterior(
    x: Float[Tensor, "group obs dim"],
    *,
    scales: tuple[float, float, float] = (0.5, 0.5, 0.1),
) -> GREPosterior:
    """The exact posterior for data `x`; see `GREPosterior`."""
    x = x.double()
    s_mu, s_g, s_x = scales
    groups, size, dim = x.shape
    means = x.mean(1)
    within = (x - means.unsqueeze(1)).square().sum()
    v = s_g**2 + s_x**2 / size
    precision = s_mu**-2 + groups / v
    mean = means.sum(0) / v / precision
    conditional_variance = 1 / (s_g**-2 + size / s_x**2)
    # Within groups, then the group means, whose covariance is v I + s_mu^2 1 1'.
    log_within = -within / (2 * s_x**2) - dim * groups * (
        (size - 1) * math.log(2 * math.pi * s_x**2) / 2 + math.log(size) / 2
    )
    log_det = (groups - 1) * math.log(v) + math.log(v + groups * s_mu**2)
    quadratic = means.square().sum() / v - precision * mean.square().sum()
    log_means = -0.5 * (dim * (groups * math.log(2 * math.pi) + log_det) + quadratic)
    return GREPosterior(
        mean=mean,
        sd=precision**-0.5,
        group_data=conditional_variance * size / s_x**2 * means,
        group_slope=conditional_variance / s_g**2,
        group_sd=conditional_variance**0.5,
        log_evidence=float(log_within + log_means),
    )
