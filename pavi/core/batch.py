"""The plate-batch: which rows of every plate take part in a step, and what each one weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pavi.core.segments import Segments

Links = Mapping[str, Mapping[str, Tensor]]


@final
@dataclass(frozen=True)
class PlateBatch:
    r"""Rows of every plate, their Horvitz-Thompson weights, links and measured values.

    A sum over all rows of a plate is estimated without bias by the weighted sum over the rows of
    a batch, if each row weighs one over its probability of being in the batch,

    .. math:: \sum_n f_n = E\Big[\sum_{n \in \text{batch}} w_n f_n\Big], \qquad
        w_n = 1 / P(n \in \text{batch}).

    Nothing else in the library knows the size of a data set, draws rows or weighs a term.

    Args:
        rows: Per plate, the ids of its rows in the data, `(rows,)`.
        weights: Per plate, one over the inclusion probability, `(rows,)`.
        links: Per indexed plate and plate directly above it, each row's parent as a position
            *in this batch*, `(rows,)`.
        values: Observed values and covariates, `(*plates, *event)`.
        present: Per observed site with missing values, where there is one, `(*plates,)`.
        seed: Seeds the reparameterisation noise of the step.

    Reference:
        Horvitz and Thompson (1952), A generalization of sampling without replacement.
    """

    rows: Mapping[str, Int[Tensor, " _"]]
    weights: Mapping[str, Float[Tensor, " _"]]
    links: Links
    values: Mapping[str, Tensor]
    present: Mapping[str, Tensor] = field(default_factory=dict)
    seed: int = 0
    like: Tensor = field(default_factory=lambda: torch.zeros(()))
    _routes: dict[tuple[str, ...], Tensor] = field(default_factory=dict, repr=False, compare=False)
    _segments: dict[tuple[str, ...], Segments] = field(
        default_factory=dict, repr=False, compare=False
    )

    def shape(self, plates: Sequence[str]) -> tuple[int, ...]:
        """The number of rows of each plate."""
        return tuple(len(self.rows[plate]) for plate in plates)

    def weight(self, plates: Sequence[str]) -> Tensor:
        """The weight of every ground variable on `plates`, `(*plates,)`.

        The plates of one site are drawn independently of each other, so weights multiply.
        """
        total = self.like.new_ones(())
        for plate in plates:
            total = total.unsqueeze(-1) * self.weights[plate]
        return total

    def link(self, route: Sequence[str]) -> Int[Tensor, " rows"]:
        """For rows of the first plate of a route, their row of the last one, as positions here."""
        route = tuple(route)
        if len(route) == 2:
            return self.links[route[0]][route[1]]
        if route not in self._routes:
            first = self.links[route[0]][route[1]]
            self._routes[route] = self.link(route[1:])[first]
        return self._routes[route]

    def segments(self, route: Sequence[str]) -> Segments:
        """The rows of the first plate of a route by their row of the last one."""
        route = tuple(route)
        if route not in self._segments:
            self._segments[route] = Segments.of(self.link(route), len(self.rows[route[-1]]))
        return self._segments[route]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> PlateBatch:
        """The same batch on another device; Lightning calls this."""

        def move(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {k: v.to(device, non_blocking=non_blocking) for k, v in tensors.items()}

        if self.like.device == torch.device(device):
            return self
        return replace(
            self,
            rows=move(self.rows),
            weights=move(self.weights),
            links={plate: move(parents) for plate, parents in self.links.items()},
            values=move(self.values),
            present=move(self.present),
            like=self.like.to(device),
            _routes={},
            _segments={},
        )


def whole(
    cardinalities: Mapping[str, int],
    links: Links,
    values: Mapping[str, Tensor],
    *,
    like: Tensor,
    present: Mapping[str, Tensor] | None = None,
    seed: int = 0,
) -> PlateBatch:
    """The batch of all rows, each of weight one.

    Args:
        cardinalities: The number of rows of each plate.
        links: Per indexed plate and plate directly above it, each row's parent.
        values: Observed values and covariates.
        like: A tensor with the floating-point type and device of the data.
        present: Where observed values are not missing.
        seed: Seeds the reparameterisation noise.
    """
    return PlateBatch(
        rows={p: torch.arange(n, device=like.device) for p, n in cardinalities.items()},
        weights={p: like.new_ones(n) for p, n in cardinalities.items()},
        links=links,
        values=values,
        present=present or {},
        seed=seed,
        like=like,
    )
