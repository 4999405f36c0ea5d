r"""The forward divergence, for data sets that are simulated with their latent values.

.. math:: E_{p(\theta, x)} \big[-\log q(\theta \mid x)\big]
    = E_{p(x)} \big[\mathrm{KL}(p(\theta \mid x) \,\|\, q(\theta \mid x))\big] + \text{const}

It needs no density of the model and no path through its draws, covers all modes, and is least at
the exact posterior of every data set, if the family holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from pavi.core import PlateBatch
from pavi.guides.base import Guide
from pavi.objectives.reduced_elbo import ELBOTerms, weighted
from pavi.objectives.warm_up import ELBO, Emphasis


@final
@dataclass(frozen=True)
class ForwardKL:
    """Minus the log density that the guide gives to the true latent values.

    Reference:
        Le, Baydin and Wood (2017), Inference compilation and universal probabilistic programming.
    """

    def __call__(self, guide: Guide, batch: PlateBatch, *, emphasis: Emphasis = ELBO) -> ELBOTerms:
        """Estimate the divergence, up to a constant, from simulated data sets.

        Args:
            guide: The guide, of the lifted model.
            batch: The data sets, with the values of the latent sites.
            emphasis: Without effect: nothing is drawn.

        Raises:
            ValueError: If the batch holds no latent values.
        """
        if absent := [name for name in guide.model.latents if name not in batch.values]:
            raise ValueError(
                f"the forward divergence needs the true values of {absent}, which only simulated "
                "data have; train on a SimulatedDataModule."
            )
        values = {name: batch.values[name].unsqueeze(0) for name in guide.model.latents}
        log_q = guide.log_prob(values, batch)
        sites = guide.model.sites
        terms = {name: weighted(value, sites[name].plates, batch) for name, value in log_q.items()}
        loss = -torch.stack(list(terms.values())).sum()
        return ELBOTerms(loss, {name: term.detach() for name, term in terms.items()})
