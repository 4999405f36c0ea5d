r"""The importance-weighted bound on the log evidence, on all data.

With joint draws :math:`\theta_k` from a guide and their weights :math:`w_k = p(x, \theta_k) /
q(\theta_k)`,

.. math:: L_K = \log \frac1K \sum_{k=1}^K w_k, \qquad
    \mathrm{ELBO} = E L_1 \le E L_K \le E L_{K+1} \le \log p(x).

As :math:`K` grows it tends to the evidence; where the guide is the posterior, every :math:`L_K`
is the evidence. The bound is only as good as the guide's reach: parts of the posterior that no
draw visits are missing from it.

The effective sample size is :math:`(\sum_k w_k)^2 / \sum_k w_k^2`. The draws come in `B` blocks,
whose mean weights :math:`m_b` are independent and have the mean :math:`m`; by the delta method
:math:`L_K = \log m` has the standard error :math:`\mathrm{sd}(m_b) / (\sqrt B\, m)`.

Reference:
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, theorem 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from pavi.data import PlateData
from pavi.guides.base import Guide
from pavi.metrics.log_ratio import log_ratio


@final
@dataclass(frozen=True)
class ImportanceEstimate:
    """An importance-weighted bound on the log evidence.

    Args:
        bound: In nats.
        standard_error: Of the bound, from its blocks.
        effective_sample_size: How many of the draws count.
        draws: The number of draws.
        elbo: The mean log weight of the same draws.
        blocks: The bound from the draws of each block alone; a large spread, or a mean far below
            `bound`, says that few draws decide.
    """

    bound: float
    standard_error: float
    effective_sample_size: float
    draws: int
    elbo: float
    blocks: tuple[float, ...]


def importance_bound(
    guide: Guide,
    data: PlateData,
    *,
    draws: int = 10_000,
    blocks: int = 20,
    at_once: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> ImportanceEstimate:
    """Estimate the log evidence of all data from below; see the module for the formulas.

    Args:
        guide: The guide, with its model.
        data: All data.
        draws: The number of joint draws, a multiple of `blocks`.
        blocks: The number of independent blocks of draws.
        at_once: How many draws are held at a time, which bounds the memory.
        seed: Of the noise.
        progress: Whether to show a bar.

    Raises:
        ValueError: If there are fewer than two blocks, `draws` is no positive multiple of
            `blocks`, or `at_once` is not positive.
    """
    if blocks < 2 or draws < blocks or draws % blocks:
        raise ValueError(
            f"draws must be a multiple of blocks, of which there are two or more; got "
            f"draws={draws}, blocks={blocks}."
        )
    if at_once < 1:
        raise ValueError(f"at_once must be positive, got {at_once}.")
    size = draws // blocks
    # Per block: the logarithms of the sums of weights and of their squares, and the sum of logs.
    sums = torch.full((3, blocks), -math.inf, dtype=torch.float64)
    sums[2] = 0.0
    for block in track(range(blocks), "importance", disable=not progress):
        for part, start in enumerate(range(0, size, at_once)):
            noise = int(np.random.default_rng([seed, block, part]).integers(2**63 - 1))
            count = min(at_once, size - start)
            terms = log_ratio(guide, data, draws=count, seed=noise)
            log_weights = torch.stack(list(terms.values())).sum(0)
            sums[0, block] = torch.logaddexp(sums[0, block], log_weights.logsumexp(0))
            sums[1, block] = torch.logaddexp(sums[1, block], (2 * log_weights).logsumexp(0))
            sums[2, block] += log_weights.sum()
    return _summarise(sums, size)


def _summarise(sums: Tensor, size: int) -> ImportanceEstimate:
    blocks = sums.shape[1]
    means = sums[0] - math.log(size)
    bound = means.logsumexp(0) - math.log(blocks)
    relative = (means - bound).exp()
    return ImportanceEstimate(
        bound=float(bound),
        standard_error=float(relative.std() / blocks**0.5),
        effective_sample_size=float((2 * sums[0].logsumexp(0) - sums[1].logsumexp(0)).exp()),
        draws=blocks * size,
        elbo=float(sums[2].sum() / (blocks * size)),
        blocks=tuple(means.tolist()),
    )
