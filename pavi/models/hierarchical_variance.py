r"""Groups with means and variances of their own (HV): a funnel, where nothing is conjugate."""

from __future__ import annotations

import torch
from torch.distributions import Normal

from pavi.core import HierarchicalModel, Latent, Observed, Plate


def hierarchical_variance(*, dim: int = 2, spread: float = 0.5) -> HierarchicalModel:
    r"""Group means of unknown spread, and a noise level per group.

    .. math:: \mu \sim N(0, I), \quad \log\tau \sim N(0, 1), \quad
        \mu_g \sim N(\mu, \tau^2 I), \quad \log s_g \sim N(0, \mathrm{spread}^2), \quad
        x_{gn} \sim N(\mu_g, s_g^2 I)

    The scales are shared by the dimensions of an observation. Sites: `mu (dim,)`, `log_tau ()`,
    `mu_g (group, dim)`, `log_s (group,)`, observed `x (group, obs, dim)`. Plates: `group`, `obs`.

    Args:
        dim: The dimension of an observation.
        spread: How much the noise levels of groups differ, on the log scale.

    Reference:
        The funnel is that of Neal (2003), Slice sampling, section 8.
    """
    zero = torch.zeros(dim)
    return HierarchicalModel(
        plates=[Plate("group"), Plate("obs")],
        sites={
            "mu": Latent(lambda: Normal(zero, 1.0), event_shape=(dim,)),
            "log_tau": Latent(lambda: Normal(0.0, 1.0)),
            "mu_g": Latent(
                lambda mu, log_tau: Normal(mu, log_tau.exp()),
                plates="group",
                event_shape=(dim,),
            ),
            "log_s": Latent(lambda: Normal(0.0, spread), plates="group"),
            "x": Observed(
                lambda mu_g, log_s: Normal(mu_g, log_s.exp()),
                plates=("group", "obs"),
                event_shape=(dim,),
            ),
        },
    )
