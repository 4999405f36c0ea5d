"""The ELBO on the full data, with its standard error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch

from pavi.data import PlateData
from pavi.guides.base import Guide
from pavi.metrics.log_ratio import log_ratio


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


def full_elbo(
    guide: Guide,
    data: PlateData,
    *,
    draws: int = 128,
    seed: int = 0,
    budget: int = 2**24,
    progress: bool = False,
) -> ELBOEstimate:
    """Estimate the ELBO on all data: the mean of `log_ratio` over draws.

    Args:
        guide: The guide, with its model.
        data: All data.
        draws: The number of joint draws.
        seed: Of the noise.
        budget: How many numbers a chunk may hold; a guide that draws all at once has one chunk.
        progress: Whether to show a bar.
    """
    terms = log_ratio(guide, data, draws=draws, seed=seed, budget=budget, progress=progress)
    total = torch.stack(list(terms.values())).sum(0)
    return ELBOEstimate(
        mean=float(total.mean()),
        standard_error=float(total.std() / draws**0.5) if draws > 1 else float("nan"),
        terms={site: float(term.mean()) for site, term in terms.items()},
    )
