r"""The gap of a guide of Gaussian random effects, from a sample of the groups.

The gap to the evidence is the divergence of the guide from the posterior, which is known in closed
form and factorises as the guide does:

.. math:: \log p(x) - \mathrm{ELBO} = E_q\Big[\log\frac{q(\mu)}{p(\mu \mid x)}\Big]
    + \sum_g E_q\Big[\log\frac{q(\mu_g \mid \mu)}{p(\mu_g \mid \mu, x_g)}\Big].

So the sum over groups can be taken over a sample of them, each with its Horvitz-Thompson weight:
unbiased, and without the variance of the data terms, which cancel. At the posterior every ratio is
one, and the estimate is zero for every draw.
"""

from __future__ import annotations

import copy

import torch
from torch.distributions import Normal

from pavi import Posterior
from pavi.data import PlateData
from pavi.data.module import PlateBatches
from pavi.guides import Guide
from pavi.models.gaussian_random_effects import GREPosterior


@torch.no_grad()
def gre_gap(
    guide: Guide,
    data: PlateData,
    exact: GREPosterior,
    *,
    groups: int = 512,
    draws: int = 64,
    seed: int = 0,
) -> float:
    """Estimate the gap in nats; for a guide whose bound is not the ELBO, the gap of its bound.

    Args:
        guide: A guide of `gaussian_random_effects`. Encodings are those from all data.
        data: All data.
        exact: The posterior of these data.
        groups: How many groups to sample; all of them if there are no more, or if the guide draws
            all latents at once.
        draws: The number of joint draws.
        seed: Of the groups and the noise.
    """
    # A copy on the device of the data; a posterior also switches its guide out of training.
    grounded = Posterior(copy.deepcopy(guide).to(data.like.device), data).guide
    total = data.cardinalities["group"]
    size = total if guide.whole else min(groups, total)
    batch = PlateBatches(data, batch={"group": size}, seed=seed)[0]
    drawn = grounded(batch, draws=draws)
    mu, mu_g = drawn.values["mu"].double(), drawn.values["mu_g"].double()
    rows = batch.rows["group"]
    means = exact.group_data[rows] + exact.group_slope * mu.unsqueeze(1)
    log_mu = Normal(exact.mean, exact.sd).log_prob(mu).sum(-1)
    log_mu_g = Normal(means, exact.group_sd).log_prob(mu_g).sum(-1)
    weight = batch.weight(["group"])
    log_q_mu = drawn.log_q["mu"].double()
    ratios = (drawn.log_q["mu_g"].double() - log_mu_g) * weight
    return float((log_q_mu - log_mu).mean() + ratios.sum(1).mean())
