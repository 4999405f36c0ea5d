r"""Auxiliary noise on the inverted graph of a model.

Every latent ground variable `v` and every datum has `A` auxiliaries. They are drawn against the
arrows: those of data first, those of a latent site from its children `c`,

.. math:: \epsilon_v \sim N\Big(\sum_c w_c\, \frac1{|c(v)|} \sum_{n \in c(v)} \epsilon_{c,n},\
    w_0^2 I\Big), \qquad w = \operatorname{softmax},

the children's rows below `v` pooled by their mean. So variables that are bound together by data
below them share noise. Data start it with :math:`N(s(x), I)`, where `s` is zero or, in the
amortised form, a network of the datum. Their density is the same in `q` and in `r` and cancels.

All rows below a row must be there: the law of :math:`\epsilon_v` depends on every one, and with a
part of them the bound would be that of another guide in every step. A batch of whole groups is
fine where no latent lies above the groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.alignment import Alignment


@final
class InvertedGraph:
    """Which sites a latent site's auxiliaries are drawn from, and how their rows are pooled.

    Args:
        model: The template.
        cardinalities: The number of rows of each plate.

    Attributes:
        children: Per latent site, the latent and observed sites that use it.
        order: The latent sites, children first.
    """

    def __init__(self, model: HierarchicalModel, cardinalities: Mapping[str, int]) -> None:
        self._sites = model.sites
        self._graph = model.plates
        self._cardinalities = dict(cardinalities)
        random = [name for name in model.sites if name not in model.covariates]
        self.children: dict[str, tuple[str, ...]] = {
            name: tuple(other for other in random if name in model.sites[other].parents)
            for name in model.latents
        }
        self.order: Sequence[str] = tuple(reversed(model.latents))
        self._alignments = {
            (child, name): Alignment.between(
                model.plates,
                model.sites[name].plates,
                model.sites[child].plates,
                source_rank=1,
                target_rank=1,
            )
            for name, children in self.children.items()
            for child in children
        }

    def mean(
        self, name: str, weights: Tensor, noises: Mapping[str, Tensor], batch: PlateBatch
    ) -> Tensor:
        """The mean of a site's auxiliaries given those of its children.

        Args:
            name: The latent site.
            weights: Of its children, `(*plates, children)`.
            noises: Auxiliaries of the children, `(draws, *plates, A)`.
            batch: The rows that take part.

        Returns:
            `(draws, *plates, A)`; of length one over draws where there are no children.
        """
        lead = batch.shape(self._sites[name].plates)
        total = batch.like.new_zeros(1, *lead, 1)
        for number, child in enumerate(self.children[name]):
            alignment = self._alignments[child, name]
            noise = noises[child]
            ones = noise.new_ones(1, *noise.shape[1:-1], 1)
            count = alignment.transposed(ones, batch).clamp(min=1)
            pooled = alignment.transposed(noise, batch) / count
            total = total + weights[..., number : number + 1] * pooled
        return total

    def check(self, batch: PlateBatch) -> None:
        """See that every row in a batch comes with all rows below it.

        A row below is there whenever the one above is if they are drawn with one probability, so
        if they weigh the same.

        Raises:
            ValueError: If rows are missing, or it cannot be known because rows were chosen and
                not drawn.
        """
        partial = [p for p, n in self._cardinalities.items() if len(batch.rows[p]) != n]
        if not partial:
            return
        for plate in partial:
            if bool((batch.weights[plate] == 1).all()):
                raise ValueError(
                    "cascading flows draw a row together with all rows below it; of plate "
                    f"{plate!r} the batch holds {len(batch.rows[plate])} of "
                    f"{self._cardinalities[plate]} rows, chosen and not drawn. Draw all rows, and "
                    "pick some afterwards."
                )
        for (child, name), alignment in self._alignments.items():
            above = batch.weight(self._sites[name].plates)
            below = batch.weight(self._sites[child].plates)
            aligned = alignment(above.reshape(1, *above.shape, 1), batch)[0, ..., 0]
            if not torch.allclose(aligned.expand(below.shape), below, rtol=1e-4):
                raise ValueError(
                    "cascading flows draw a row together with all rows below it, but this batch "
                    f"holds rows of {name!r} without some rows of {child!r} below them: the "
                    f"plates {partial} are not whole. Leave out their batch sizes, or draw whole "
                    "rows of a plate that no latent site lies above."
                )
