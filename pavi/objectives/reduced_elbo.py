r"""The ELBO of a reduced model, weighted back to full size.

.. math:: \widehat{\mathrm{ELBO}} = \frac1K \sum_k \Big[ \sum_{\mathrm{sites}} \sum_{n \in
    \mathrm{batch}} w_n \big(\log p(\theta_n^k \mid \mathrm{pa}) - \log q(\theta_n^k \mid
    \mathrm{up}; E_n)\big) + \sum_{\mathrm{obs}} w_n \log p(x_n \mid \mathrm{pa}) \Big]

It is unbiased for the ELBO of the full model: every term depends on its own ancestors only, these
are in every batch that holds the term, and a term is in the batch with probability
:math:`1 / w_n`.

Gradients. With :math:`\theta = \theta_\phi(\epsilon)` the derivative of :math:`\log
q_\phi(\theta_\phi(\epsilon))` is a path term, through the draw, plus the score
:math:`\partial_\phi \log q_\phi(\theta)` at a fixed draw. The score has mean zero. Leaving it out
(*sticking the landing*) keeps the gradient unbiased, and where q is the posterior the rest is
zero for every draw, since there :math:`\log p - \log q` is constant in :math:`\theta`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import final

import torch
from torch import Tensor

from pavi.core import PlateBatch
from pavi.core.distributions import unvalidated
from pavi.guides.base import Guide
from pavi.objectives.warm_up import ELBO, Emphasis


class Gradient(StrEnum):
    """How the entropy term is differentiated."""

    PATH = "path"
    REPARAM = "reparam"


@final
@dataclass(frozen=True)
class ELBOTerms:
    """An estimate of the ELBO.

    Args:
        loss: Minus the ELBO, in nats, with gradients.
        terms: Per site, its part of the ELBO, without gradients.
    """

    loss: Tensor
    terms: dict[str, Tensor]


@final
@dataclass(frozen=True)
class ReducedELBO:
    """The reduced ELBO as an objective.

    Args:
        draws: The number of joint draws of the latent sites per step.
        gradient: `"path"` (sticking the landing) or `"reparam"`.

    Raises:
        ValueError: If `draws` is not positive or `gradient` is neither of the two.

    Reference:
        Rouillard et al. (2023), PAVI, TMLR. Roeder, Wu and Duvenaud (2017), Sticking the landing.
    """

    draws: int = 8
    gradient: str = "path"

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws must be positive, got {self.draws}.")
        if self.gradient not in list(Gradient):
            choices = [str(choice) for choice in Gradient]
            raise ValueError(f"gradient must be one of {choices}, got {self.gradient!r}.")

    def __call__(self, guide: Guide, batch: PlateBatch, *, emphasis: Emphasis = ELBO) -> ELBOTerms:
        """Estimate the ELBO of the full model from a batch.

        Args:
            guide: The guide, with its model.
            batch: The rows that take part.
            emphasis: What counts how much, during a warm-up.
        """
        model = guide.model
        path = self.gradient == Gradient.PATH
        drawn = guide(batch, draws=self.draws, path=path, antithetic=True, noise=emphasis.noise)
        terms = {}
        for name in drawn.values:
            log_p, log_q = drawn.log_p[name], drawn.log_q[name]
            if emphasis is not ELBO:
                log_p, log_q = emphasis.prior * log_p, emphasis.entropy * log_q
            terms[name] = weighted(log_p - log_q, model.sites[name].plates, batch)
        with unvalidated():
            for name in model.observed:
                factor = model.log_factor(name, drawn.values, batch, draws=self.draws)
                terms[name] = weighted(factor, model.sites[name].plates, batch)
        loss = -torch.stack(list(terms.values())).sum()
        return ELBOTerms(loss, {name: term.detach() for name, term in terms.items()})


def weighted(factor: Tensor, plates: Sequence[str], batch: PlateBatch) -> Tensor:
    """The mean over draws of the weighted sum over plates of a factor `(draws, *plates)`."""
    return (factor.mean(0) * batch.weight(plates)).sum()
