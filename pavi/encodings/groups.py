r"""The rows of a finer frame by the rows of a coarser one that they lie within.

A sum over a group is :math:`\sum_{n \in g} \omega_n f_n`, where
:math:`\omega_n = w_n / w_g` is one over the probability that row `n` is in the batch if its group
is. So the sums estimate those over all rows of the group without bias, and a group looks the
same, its count included, whether a batch holds all its rows or some.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from pavi.core import PlateBatch
from pavi.core.alignment import Alignment
from pavi.encodings.sweep import Sweep
from pavi.nn import per_head

# The log-count of a group without any observed value is that of half an observation.
EMPTY = 0.5


@final
@dataclass(frozen=True)
class Groups:
    """The rows of a finer frame grouped by those of a coarser one, in one batch.

    Args:
        plates: Of the finer frame.
        alignment: From the coarser to the finer frame.
        batch: The rows.
        share: How many rows of its group each row stands for, `(*finer plates,)`; None where
            every row stands for itself.
        sweep: Completes the sums, where groups have rows outside the batch.
    """

    plates: tuple[str, ...]
    alignment: Alignment
    batch: PlateBatch
    share: Tensor | None
    sweep: Sweep | None = None

    def spread(self, values: Tensor) -> Tensor:
        """Give every row the values `(*coarser plates, size)` of its group."""
        return self.alignment(values.unsqueeze(0), self.batch).squeeze(0)

    @cached_property
    def counts(self) -> Tensor:
        """The number of rows of each group in the full data, `(*coarser plates, 1)`."""
        shape = self.batch.shape(self.plates)
        share = self.batch.like.new_ones(shape) if self.share is None else self.share
        return self._total(share.unsqueeze(-1)).clamp(min=EMPTY)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over each group of `(*finer plates, size)`."""
        return self._total(self._shared(values)) / self.counts

    def weighted_mean(self, values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted mean over each group, and the total weight.

        Args:
            values: `(*finer plates, heads * size)`, head by head.
            weights: Positive, `(*finer plates, heads)`.

        Returns:
            `(*coarser plates, heads * size)` and `(*coarser plates, heads)`.
        """
        weights = self._shared(weights)
        heads = weights.shape[-1]
        size = values.shape[-1] // heads
        total = self._total(weights, per_head(weights, size) * values)
        norm = total[..., :heads].clamp(min=torch.finfo(total.dtype).tiny)
        return total[..., heads:] / norm.repeat_interleave(size, dim=-1), norm

    def _shared(self, values: Tensor) -> Tensor:
        return values if self.share is None else self.share.unsqueeze(-1) * values

    def _total(self, *values: Tensor) -> Tensor:
        """Sums over each group, side by side."""
        sums = [self.alignment.transposed(v.unsqueeze(0), self.batch).squeeze(0) for v in values]
        total = sums[0] if len(sums) == 1 else torch.cat(sums, dim=-1)
        return total if self.sweep is None else self.sweep.total(total)
