r"""Importance resampling of joint draws.

With draws :math:`\theta_s` from the guide and their weights
:math:`w_s = p(x, \theta_s) / q(\theta_s)`, draws that are picked with probabilities proportional
to :math:`w_s` tend to draws from the posterior as their number grows. The largest weights are
first replaced by the quantiles of a generalised Pareto distribution fitted to them, whose shape
is k-hat; beyond about 0.7 the weights are too uneven to be of use, whatever the number of draws.

**The weights degenerate with many latents.** The variance of :math:`\log w` adds up over rows: a
guide that is off by a hundredth of a nat in each of a thousand groups is off by ten nats in their
joint weight, and a few draws out of thousands take all the weight. That says little about any
single group. Expect a k-hat above 0.7 in all but small models or very close fits; the weights of
one group given the globals are another matter.

Reference:
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), Pareto smoothed importance sampling, JMLR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from pavi.metrics.log_ratio import log_ratio
from pavi.metrics.pareto import LEAST_DRAWS, pareto_smoothed
from pavi.posterior.checks import check_draws, check_observed, latent_sites
from pavi.posterior.fitted import Fitted
from pavi.posterior.joint_draws import BUDGET
from pavi.posterior.sampling import sample


@final
@dataclass(frozen=True)
class Resampled:
    r"""Importance-resampled joint draws.

    Args:
        values: Per site, `(draws, *plates, *event)`.
        khat: The Pareto shape of the weights: to be trusted below 0.7; minus infinity where all
            weights are equal, as those of an exact guide, infinity where next to one the others
            are nothing.
        effective_sample_size: How many proposals count, :math:`1 / \sum_s \bar w_s^2`.
        distinct: How many different proposals the draws are.
        proposals: How many were drawn.
    """

    values: dict[str, Tensor]
    khat: float
    effective_sample_size: float
    distinct: int
    proposals: int


def resample(
    posterior: Fitted,
    *sites: str,
    draws: int = 1000,
    proposals: int = 4000,
    seed: int = 0,
    budget: int = BUDGET,
    progress: bool = False,
) -> Resampled:
    """Importance-resampled joint draws, with their k-hat.

    Weights of all latents at once degenerate where these are many: a k-hat above 0.7 is the
    rule in all but small models, and says that the draws are no better than those of
    `sample`. See `pavi.posterior.resampling`.

    Args:
        posterior: The posterior.
        sites: The sites to keep; all of them by default.
        draws: The number of draws.
        proposals: How many draws of the guide they are picked from.
        seed: Of both.
        budget: How many numbers a chunk may hold.
        progress: Whether to show a bar.

    Raises:
        ValueError: If there are fewer proposals than draws, or no observed values.
    """
    guide, data = posterior.guide, posterior.data
    wanted = latent_sites(guide, data, sites)
    check_draws(draws)
    check_observed(data, "an importance weight")
    if proposals < max(draws, LEAST_DRAWS):
        raise ValueError(
            f"proposals must be {LEAST_DRAWS} or more and no fewer than the {draws} draws, got "
            f"{proposals}."
        )
    terms = log_ratio(guide, data, draws=proposals, seed=seed, budget=budget, progress=progress)
    log_weights, khat = smoothed(torch.stack(list(terms.values())).sum(0))
    weights = log_weights.exp()
    picked = systematic(weights, draws, seed=seed)
    # The same seed gives the draws that the weights belong to.
    values = sample(guide, data, wanted, draws=proposals, seed=seed, keep=picked, budget=budget)
    return Resampled(
        values=values,
        khat=khat,
        effective_sample_size=float(1 / weights.square().sum()),
        distinct=len(picked.unique()),
        proposals=proposals,
    )


def smoothed(log_weights: Tensor) -> tuple[Tensor, float]:
    """Pareto-smoothed, normalised log weights and their k-hat.

    Args:
        log_weights: The log of target over proposal, up to a constant, `(proposals,)`; minus
            infinity for values that the model gives no density, which are never picked.

    Raises:
        ValueError: If a weight is not a number or infinite, or none is positive.
    """
    count = len(log_weights)
    if bad := int((log_weights.isnan() | log_weights.isposinf()).sum()):
        raise ValueError(
            f"{bad} of {count} importance weights are not finite: the log density of the model or "
            "of the guide is not a number, or infinite, at values that the guide draws."
        )
    if log_weights.isneginf().all():
        raise ValueError(
            f"all {count} importance weights are zero: the model gives no density to any of the "
            "values that the guide draws."
        )
    return pareto_smoothed(log_weights)


def systematic(weights: Tensor, draws: int, *, seed: int) -> Tensor:
    """Pick with probabilities proportional to weights, evenly: one uniform number for all.

    Args:
        weights: Normalised, `(proposals,)`.
        draws: How many to pick.
        seed: Of the number and of the order of the picked ones.
    """
    rng = np.random.default_rng([seed, 2])
    places = torch.as_tensor((np.arange(draws) + rng.random()) / draws)
    ends = weights.cumsum(0)
    picked = torch.searchsorted(ends / ends[-1], places).clamp(max=len(weights) - 1)
    return picked[torch.as_tensor(rng.permutation(draws))]
