r"""Pooling the states of rows into one summary for each group.

`PrecisionPooling` is that of a deep set:

.. math:: \bar h_g = \frac{\sum_{n \in g} \omega_n e^{a_n} h_n}{\sum_{n \in g} \omega_n e^{a_n}},
    \qquad \log \sum_{n \in g} \omega_n e^{a_n}

A conjugate update does just this with measurements :math:`h_n` of precision :math:`e^{a_n}`: it
needs their weighted mean and their total precision. Observations have no precision of their own;
of them it takes the mean. `AttentionPooling` is that of a set transformer: rows attend to a few
learned summaries of their group (ISAB), learned seeds attend to the rows (PMA), and these to each
other (SAB).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor, nn

from pavi.encodings.groups import Groups
from pavi.nn import AttentionBlock, soft_exp

# What attention says starts small beside the statistics of the data.
ATTENTION_SCALE = 0.1


class Pooling(nn.Module, ABC):
    """Summarises the rows of every group.

    A concrete pooling does not depend on the order of rows, and estimates from some rows of a
    group what it would give for all.

    Attributes:
        size: The length of a summary.
        sees_data: Whether rows bring all that they took in: observations instead of their state,
            others beside it.
    """

    size: int
    sees_data = False

    @abstractmethod
    def forward(self, state: Tensor, groups: Groups) -> Tensor:
        """`(*finer plates, width)` to `(*coarser plates, size)`."""


@final
class MeanPooling(Pooling):
    """The mean over each group.

    Args:
        width: The length of a state.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.size = width

    def forward(self, state: Tensor, groups: Groups) -> Tensor:
        """See `Pooling`."""
        return groups.mean(state)


@final
class PrecisionPooling(Pooling):
    """The precision-weighted mean over each group, and the logarithm of the total precision.

    Args:
        width: The length of a state.
        heads: The number of learned precisions; each is that of a slice of the state.
    """

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.size = width + heads
        self.log_precision = nn.Linear(width, heads)
        nn.init.zeros_(self.log_precision.weight)
        nn.init.zeros_(self.log_precision.bias)

    def forward(self, state: Tensor, groups: Groups) -> Tensor:
        """See `Pooling`."""
        precision = soft_exp(self.log_precision(state))
        mean, total = groups.weighted_mean(state, precision)
        return torch.cat([mean, total.log()], dim=-1)


@final
class AttentionPooling(Pooling):
    """A set transformer over the rows of each group.

    Args:
        inputs: The length of what a row brings.
        width: Of attention.
        heads: Of attention; must divide the width.
        inducing: The number of learned summaries that rows attend to.
        seeds: The number of learned queries that read a group off.
    """

    def __init__(self, inputs: int, *, width: int, heads: int, inducing: int, seeds: int) -> None:
        super().__init__()
        self.size, self.sees_data = seeds * width, True
        self.inducing = nn.Parameter(torch.randn(inducing, width) / width**0.5)
        self.seeds = nn.Parameter(torch.randn(seeds, width) / width**0.5)
        self.induce = AttentionBlock(width, inputs, width=width, heads=heads)
        self.spread = AttentionBlock(inputs, width, width=width, heads=heads)
        self.read = AttentionBlock(width, width, width=width, heads=heads)
        self.relate = AttentionBlock(width, width, width=width, heads=heads)

    def forward(self, state: Tensor, groups: Groups) -> Tensor:
        """See `Pooling`."""
        summaries = self._attend(self.induce, self.inducing, state, groups)
        keys = groups.spread(self.spread.keys(summaries).flatten(-2))
        values = groups.spread(self.spread.values(summaries).flatten(-2))
        rows = self.spread.attend_each(state, keys, values)
        found = self._attend(self.read, self.seeds, rows, groups)
        related: Tensor = self.relate(found, found)
        return ATTENTION_SCALE * related.flatten(-2)

    def _attend(
        self, block: AttentionBlock, queries: Tensor, rows: Tensor, groups: Groups
    ) -> Tensor:
        """Attention of shared queries to the rows of each group, `(*coarser, queries, width)`."""
        weights, values = block.shared(queries, rows)
        mean, _ = groups.weighted_mean(values, weights)
        return block.finish(block.query(queries), mean.unflatten(-1, (len(queries), -1)))
