"""The ELBO on the full data, with its standard error."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import final

import torch
from rich.progress import track
from torch import Tensor

from pavi.core.distributions import unvalidated
from pavi.data import PlateData
from pavi.data.chunks import Chunks
from pavi.guides.base import Draws, Guide
from pavi.metrics.absent_covariates import absent_covariates


@final
@dataclass(frozen=True)
class ELBOEstimate:
    """An estimate of the ELBO on all data.

    Args:
        mean: In nats.
        standard_error: Of the mean, over draws.
        terms: Per site, its part.
    """

    mean: float
    standard_error: float
    terms: dict[str, float]


@torch.no_grad()
def full_elbo(
    guide: Guide,
    data: PlateData,
    *,
    draws: int = 128,
    seed: int = 0,
    budget: int = 2**24,
    progress: bool = False,
) -> ELBOEstimate:
    """Estimate the ELBO on all data, chunk by chunk.

    Sites that chunks share are drawn once, so every draw is one joint draw of all latents and
    the standard error over draws is that of the sum.

    Args:
        guide: The guide, with its model.
        data: All data.
        draws: The number of joint draws.
        seed: Of the noise.
        budget: How many numbers a chunk may hold; a guide that draws all at once has one chunk.
        progress: Whether to show a bar.
    """
    model = guide.model
    chunks = Chunks(data, draws=draws, budget=sys.maxsize if guide.whole else budget)
    fixed = draw_fixed(guide, data, chunks, draws=draws, seed=seed)
    terms: dict[str, Tensor] = {}

    def add(site: str, factor: Tensor) -> None:
        total = factor.double().flatten(1).sum(1) if factor.ndim > 1 else factor.double()
        terms[site] = terms.get(site, 0.0) + total.expand(draws)

    for site in fixed.values:
        add(site, fixed.log_p[site] - fixed.log_q[site])
    batches = chunks.batches(seed=seed)
    for number, batch in enumerate(
        track(batches, "ELBO on all data", total=len(chunks), disable=not progress)
    ):
        drawn = guide(batch, draws=draws, given=fixed)
        for site in drawn.values:
            if site not in fixed.values:
                add(site, drawn.log_p[site] - drawn.log_q[site])
        with unvalidated():
            for site in model.observed:
                if number == 0 or not chunks.shared(site):
                    add(site, model.log_factor(site, drawn.values, batch, draws=draws))
    total = torch.stack(list(terms.values())).sum(0)
    return ELBOEstimate(
        mean=float(total.mean()),
        standard_error=float(total.std() / draws**0.5) if draws > 1 else float("nan"),
        terms={site: float(term.mean()) for site, term in terms.items()},
    )


def draw_fixed(guide: Guide, data: PlateData, chunks: Chunks, *, draws: int, seed: int) -> Draws:
    """Draw the sites that all chunks share, but for those whose covariates the data lack.

    A guide that draws all latents at once may look at the observed values too, and draws them all.
    """
    if guide.whole:
        return guide(data.batch(seed=seed), draws=draws)
    batch = data.batch(sites=data.covariates, seed=seed)
    sites = [site for site in chunks.fixed if not absent_covariates(guide, data, [site])]
    return guide(batch, draws=draws, sites=sites)
