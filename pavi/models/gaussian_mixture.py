r"""Gaussian mixtures of groups that share their components (GM)."""

from __future__ import annotations

import torch
from torch.distributions import Categorical, Dirichlet, Independent, MixtureSameFamily, Normal

from pavi.core import HierarchicalModel, Latent, Observed, Plate


def gaussian_mixture(
    *,
    components: int = 3,
    dim: int = 2,
    scales: tuple[float, float, float] = (1.0, 0.2, 0.05),
) -> HierarchicalModel:
    r"""Every group mixes its own variants of the same components in its own proportions.

    .. math:: \mu_l \sim N(0, s_\mu^2 I), \quad \mu_{gl} \sim N(\mu_l, s_g^2 I), \quad
        \pi_g \sim \mathrm{Dir}(1, \dots, 1), \quad
        x_{gn} \sim \textstyle\sum_l \pi_{gl}\, N(\mu_{gl}, s_x^2 I)

    The label of an observation is summed out. Sites: `mu (components, dim)`,
    `mu_g (group, components, dim)`, `pi (group, components)`, observed `x (group, obs, dim)`.
    Plates: `group`, `obs`.

    The posterior does not change if the components are relabelled in all groups at once, so it
    has :math:`L!` copies of every mode. Beside these there are poor modes, in which some fits end:
    start with a point estimate, `pavi.fit(..., warm_up=WarmUp((MAP(until=0.1),)))`
    (`benchmarks/modes.py` counts).

    Args:
        components: The number of components :math:`L`.
        dim: The dimension of an observation.
        scales: The standard deviations :math:`s_\mu, s_g, s_x`.

    Reference:
        Rouillard and Wassermann (2022), ADAVI, section 3.4.
    """
    s_mu, s_g, s_x = scales
    zero, one = torch.zeros(components, dim), torch.ones(components)
    return HierarchicalModel(
        plates=[Plate("group"), Plate("obs")],
        sites={
            "mu": Latent(lambda: Normal(zero, s_mu), event_shape=(components, dim)),
            "mu_g": Latent(
                lambda mu: Normal(mu, s_g), plates="group", event_shape=(components, dim)
            ),
            "pi": Latent(lambda: Dirichlet(one), plates="group", event_shape=(components,)),
            "x": Observed(
                lambda mu_g, pi: MixtureSameFamily(
                    Categorical(probs=pi), Independent(Normal(mu_g, s_x), 1)
                ),
                plates=("group", "obs"),
                event_shape=(dim,),
            ),
        },
    )
