"""Data sets as the fitted model would make them again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from torch import Tensor

from pavi.posterior.ancestral import replicate
from pavi.posterior.joint_draws import BUDGET, JointDraws

if TYPE_CHECKING:
    from pavi.posterior.posterior import Posterior


@final
@dataclass(frozen=True)
class Replicates:
    """Some rows of the data, with the same rows drawn again.

    Args:
        drawn: Per observed site, `(draws, *plates, *event)`.
        measured: The same rows of the data, `(*plates, *event)`.
        present: Per observed site with missing values, where there is one, `(*plates,)`.
    """

    drawn: Mapping[str, Tensor]
    measured: Mapping[str, Tensor]
    present: Mapping[str, Tensor]


def replicates(
    posterior: Posterior, *, draws: int, seed: int, budget: int = BUDGET
) -> Iterator[Replicates]:
    r"""Data sets from the posterior predictive distribution.

    .. math:: p(x^{rep} \mid x) \approx \int p(x^{rep} \mid \theta) \, q(\theta) \, d\theta

    Part by part, so that all rows at all draws need not fit into memory; a site that parts share
    comes with the first one.

    Args:
        posterior: With its data.
        draws: The number of replicated data sets.
        seed: Of the draws.
        budget: How many numbers a part may hold, over all draws and sites.
    """
    model = posterior.model
    joint = JointDraws(
        posterior.guide, posterior.data, draws=draws, seed=seed, budget=budget, observed=True
    )
    shared: dict[str, Tensor] = {}
    for number, part in enumerate(joint.parts()):
        sites = [site for site in model.observed if site not in shared]
        noise = int(np.random.default_rng([seed, number, 4]).integers(2**63 - 1))
        values = {**part.draws.values, **shared}
        drawn = replicate(model, sites, values, part.batch, draws=draws, seed=noise)
        shared.update({site: drawn[site] for site in sites if joint.chunks.shared(site)})
        present = part.batch.present
        yield Replicates(
            drawn=drawn,
            measured={site: part.batch.values[site] for site in sites},
            present={site: present[site] for site in sites if site in present},
        )
