"""Data sets as the fitted model would make them again."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from pavi.core.distributions import unvalidated
from pavi.data.chunks import Chunks
from pavi.metrics.log_ratio import draw_fixed

if TYPE_CHECKING:
    from pavi.posterior.posterior import Posterior

BUDGET = 2**24  # how many numbers a part may hold, over all draws and sites


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


@torch.no_grad()
def replicates(posterior: Posterior, *, draws: int, seed: int) -> Iterator[Replicates]:
    r"""Data sets from the posterior predictive distribution.

    .. math:: p(x^{rep} \mid x) \approx \int p(x^{rep} \mid \theta) \, q(\theta) \, d\theta

    Part by part, so that all rows at all draws need not fit into memory; a site that parts share
    comes with the first one.

    Args:
        posterior: With its data.
        draws: The number of replicated data sets.
        seed: Of the draws.
    """
    model, guide, data = posterior.model, posterior.guide, posterior.data
    chunks = Chunks(data, draws=draws, budget=sys.maxsize if guide.whole else BUDGET)
    fixed = draw_fixed(guide, data, chunks, draws=draws, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    shared: dict[str, Tensor] = {}
    for batch in chunks.batches(seed=seed):
        values = {**guide(batch, draws=draws, given=fixed).values, **shared}
        sites = [site for site in model.observed if site not in shared]
        noise = int(torch.randint(2**62, (), generator=generator))
        with unvalidated(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(noise)
            # In the order of the graph: an observed parent is drawn again before its children.
            for site in sites:
                values[site] = model.conditional(site, values, batch, draws=draws).sample()
        shared.update({site: values[site] for site in sites if chunks.shared(site)})
        yield Replicates(
            drawn={site: values[site] for site in sites},
            measured={site: batch.values[site] for site in sites},
            present={site: batch.present[site] for site in sites if site in batch.present},
        )
