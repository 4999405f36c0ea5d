r"""Attention between sets, in the blocks of the set transformer.

With queries :math:`Q`, keys and values :math:`X` of width `d`, and `h` heads,

.. math:: \mathrm{MAB}(Q, X) = H + W \max(H, 0), \qquad
    H = Q' + \mathrm{softmax}\Big(\frac{Q' K^\top}{\sqrt{d / h}}\Big) V

for the projections :math:`Q', K, V`, each head on its own slice.

Reference:
    Lee et al. (2019), Set transformer: a framework for attention-based permutation-invariant
    neural networks.
"""

from __future__ import annotations

import math
from typing import final

from torch import Tensor, nn


@final
class AttentionBlock(nn.Module):
    """The parts of a multi-head attention block, apart from the sum over the set.

    Args:
        queries: The length of a query.
        inputs: The length of an element.
        width: `d`.
        heads: `h`, which must divide the width.
    """

    def __init__(self, queries: int, inputs: int, *, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.query = nn.Linear(queries, width)
        self.key = nn.Linear(inputs, width)
        self.value = nn.Linear(inputs, width)
        self.feed = nn.Linear(width, width)

    def queries(self, x: Tensor) -> Tensor:
        """`(..., queries, inputs)` to `(..., queries, heads, d / h)`."""
        return self.query(x).unflatten(-1, (self._heads, -1))

    def keys(self, x: Tensor) -> Tensor:
        """`(..., elements, inputs)` to `(..., elements, heads, d / h)`."""
        return self.key(x).unflatten(-1, (self._heads, -1)) / math.sqrt(
            self.key.out_features / self._heads
        )

    def values(self, x: Tensor) -> Tensor:
        """`(..., elements, inputs)` to `(..., elements, heads, d / h)`."""
        return self.value(x).unflatten(-1, (self._heads, -1))

    def finish(self, queries: Tensor, attended: Tensor) -> Tensor:
        """From projected queries and what they attended to, `(..., d)`."""
        h = (queries + attended).flatten(-2)
        result: Tensor = h + self.feed(h.relu())
        return result

    def forward(self, queries: Tensor, x: Tensor) -> Tensor:
        """Attention to a whole set: `(..., queries, d)` for elements `(..., elements, inputs)`."""
        q = self.queries(queries)
        logits = (q.unsqueeze(-3) * self.keys(x).unsqueeze(-4)).sum(-1)
        weights = logits.softmax(dim=-2)
        attended = (weights.unsqueeze(-1) * self.values(x).unsqueeze(-4)).sum(-3)
        return self.finish(q, attended)
