r"""Which sites the largest weights come from.

If a site has nothing to do with the tail of the weights, its values at the `n` largest weights are
as good as any `n` draws: their ranks among all draws, from 0 to 1, have the mean 1/2 and the
variance 1/12, and the distances of the ranks from 1/2 have the mean 1/4 and the variance 1/48. A
tail that is missed on one side moves the first mean, one that is missed on both the second.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

# Of the draws, those of the largest weights.
PART, LEAST = 0.01, 20
ERRORS = 4.0


def sites_to_blame(values: Mapping[str, Tensor], log_weights: Tensor) -> tuple[str, ...]:
    """The sites whose values at the largest weights are unlike others, most of all first.

    Args:
        values: Per site, `(draws, *event)`.
        log_weights: `(draws,)`.
    """
    draws = len(log_weights)
    count = max(LEAST, int(PART * draws))
    largest = log_weights.topk(count).indices
    found = {}
    for site, value in values.items():
        flat = value.double().reshape(draws, -1)
        ranks = (flat.argsort(0).argsort(0)[largest] + 0.5) / draws - 0.5
        aside = ranks.mean(0).abs() * (12 * count) ** 0.5
        outside = (ranks.abs().mean(0) - 0.25) * (48 * count) ** 0.5
        found[site] = float(torch.maximum(aside, outside).max())
    return tuple(s for s in sorted(found, key=lambda s: -found[s]) if found[s] > ERRORS)
