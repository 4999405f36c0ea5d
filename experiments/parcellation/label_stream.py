r"""The label probabilities of every subject and vertex, streamed to disk.

A label is summed out of the model, and comes back by Bayes' rule given draws of everything else,

.. math:: p(z_{sn} = l \mid X) \approx \frac1K \sum_k
    \frac{\mathrm{softmax}(V \pi^k_{sn})_l \prod_t N(x_{stn}; \mu^k_{stl}, \kappa_k^2 I)}
         {\sum_m \mathrm{softmax}(V \pi^k_{sn})_m \prod_t N(x_{stn}; \mu^k_{stm}, \kappa_k^2 I)},
    \qquad \theta^k \sim q .

Sites that all subjects share are drawn once, so that the draws of subjects are joint. The same
pass adds up the ELBO over all data, every term at weight one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pavi.core import PlateBatch
from pavi.core.distributions import unvalidated
from pavi.data import PlateData
from pavi.guides import PlateAmortizedGuide
from pavi.guides.base import Draws
from pavi.models import label_probabilities
from pavi.models.label_mixture import LabelMixture

ROOTS = 2**31  # the stream of noise of what subjects share
FURTHER = 16  # draws of a subject's logits for every draw of the group's


@final
@dataclass(frozen=True)
class SubjectLabels:
    """What the posterior says of a subject.

    Args:
        probabilities: Of the labels, `(vertex, network)`.
        elbo: What the subject adds to the ELBO, in nats, one number a draw.
    """

    probabilities: Float[Tensor, "vertex network"]
    elbo: Float[Tensor, " draw"]


@final
class LabelStream:
    """Draws label probabilities subject by subject; a subject's do not depend on when.

    Args:
        guide: The fitted guide.
        data: The data of the cohort.
        draws: The number of joint draws.
        seed: Of the noise.
        first: The number in the cohort of the first subject of the data, of which these are some.
    """

    def __init__(
        self,
        guide: PlateAmortizedGuide,
        data: PlateData,
        *,
        draws: int,
        seed: int,
        first: int = 0,
    ) -> None:
        self._guide, self._data, self._draws, self._seed = guide, data, draws, seed
        self._first = first
        model = data.model
        self._shared = tuple(n for n in model.latents if "subject" not in model.sites[n].plates)
        batch = self._batch(0, ROOTS)
        with torch.no_grad():
            self._fixed = guide(batch, draws=draws, sites=self._shared)

    @property
    def shared_elbo(self) -> Float[Tensor, " draw"]:
        """What the sites that subjects share add to the ELBO."""
        return _summed(self._fixed, self._shared)

    @property
    def group(self) -> Float[Tensor, "vertex network"]:
        r"""How frequent the networks are at every vertex over the population.

        .. math:: p_{nl} = E\big[\mathrm{softmax}(V \pi)_l\big], \qquad
            \pi \sim N(\eta_n, \rho^2 I), \quad \eta_n \sim q .
        """
        batch = self._batch(0, ROOTS)
        prior = self._data.model.conditional("pi", self._fixed.values, batch, draws=self._draws)
        noise = torch.Generator().manual_seed(batch.seed)
        location, scale = (value.squeeze(1) for value in (prior.mean, prior.stddev))
        total = torch.zeros(())
        for _ in range(FURTHER):
            drawn = location + scale * torch.randn(location.shape, generator=noise)
            total = total + label_probabilities(drawn).mean(0)
        return total / FURTHER

    @property
    def shared(self) -> Mapping[str, Tensor]:
        """The draws of the sites that subjects share."""
        return self._fixed.values

    @torch.no_grad()
    def of(self, subject: int) -> SubjectLabels:
        """The labels of a subject, by its number in the cohort."""
        batch = self._batch(subject - self._first, subject)
        drawn = self._guide(batch, draws=self._draws, given=self._fixed)
        x = batch.values["x"].unsqueeze(0)
        with unvalidated():
            mixture = self._data.model.conditional("x", drawn.values, batch, draws=self._draws)
            assert isinstance(mixture, LabelMixture)
            parts = mixture.label_log_densities(x)
        own = [name for name in drawn.values if name not in self._shared]
        evidence = parts.logsumexp(-1, keepdim=True)
        return SubjectLabels(
            probabilities=(parts - evidence).exp_().mean(0).squeeze(0),
            elbo=_summed(drawn, own) + evidence.flatten(1).double().sum(1),
        )

    def _batch(self, row: int, stream: int) -> PlateBatch:
        noise = int(np.random.default_rng([self._seed, stream]).integers(2**63 - 1))
        return self._data.batch({"subject": np.array([row])}, seed=noise)


def _summed(drawn: Draws, sites: Sequence[str]) -> Tensor:
    """The sum of log p - log q over sites and rows, per draw."""
    terms = [drawn.log_p[name] - drawn.log_q[name] for name in sites]
    return torch.stack([term.double().reshape(len(term), -1).sum(1) for term in terms]).sum(0)
