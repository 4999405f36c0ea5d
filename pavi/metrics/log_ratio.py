"""The logarithm of joint over guide on all data, draw by draw."""

from __future__ import annotations

import sys

import torch
from rich.progress import track
from torch import Tensor

from pavi.core.distributions import unvalidated
from pavi.data import PlateData
from pavi.data.chunks import Chunks
from pavi.guides.base import Draws, Guide
from pavi.metrics.absent_covariates import absent_covariates


@torch.no_grad()
def log_ratio(
    guide: Guide,
    data: PlateData,
    *,
    draws: int,
    seed: int,
    budget: int = 2**24,
    progress: bool = False,
) -> dict[str, Tensor]:
    r"""Each site's part of :math:`\log p(x, \theta) - \log q(\theta)` for draws from the guide.

    All data are read, chunk by chunk. Sites that chunks share are drawn once, so every draw is one
    joint draw of all latents.

    Args:
        guide: The guide, with its model.
        data: All data.
        draws: The number of joint draws.
        seed: Of the noise.
        budget: How many numbers a chunk may hold; a guide that draws all at once has one chunk.
        progress: Whether to show a bar.

    Returns:
        Per latent and observed site, `(draws,)` in float64.
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
    return terms


def draw_fixed(guide: Guide, data: PlateData, chunks: Chunks, *, draws: int, seed: int) -> Draws:
    """Draw the sites that all chunks share, but for those whose covariates the data lack.

    A guide that draws all latents at once may look at the observed values too, and draws them all.
    """
    if guide.whole:
        return guide(data.batch(seed=seed), draws=draws)
    batch = data.batch(sites=data.covariates, seed=seed)
    sites = [site for site in chunks.fixed if not absent_covariates(guide, data, [site])]
    return guide(batch, draws=draws, sites=sites)
