"""Bringing a parent's value into the shape of its child, and the sum over children back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import final

import torch
from torch import Tensor

from pavi.core.batch import PlateBatch
from pavi.core.plates import PlateGraph
from pavi.core.segments import gather, segment_sum


@final
@dataclass(frozen=True)
class Alignment:
    """How a value on some plates is read by a site on other plates.

    Args:
        permutation: The source's plate axes in the order in which the target meets them.
        routes: Per plate of the target, the routes to the plates of the source that it covers:
            none (an axis is inserted), itself, or ancestors (rows are gathered).
        source_rank: The number of event axes of the source.
        target_rank: The number of event axes of the target; where it is larger, axes of length
            one are inserted in front of the source's event axes, so that values broadcast.
    """

    permutation: tuple[int, ...]
    routes: tuple[tuple[tuple[str, ...], ...], ...]
    source_rank: int
    target_rank: int

    @classmethod
    def between(
        cls,
        graph: PlateGraph,
        source: Sequence[str],
        target: Sequence[str],
        *,
        source_rank: int,
        target_rank: int,
    ) -> Alignment:
        """The alignment from the plates `source` to the plates `target`.

        Raises:
            ValueError: If a plate of the source is neither a plate of the target nor one that
                those lie within, or is reached in two ways.
        """
        outside = [plate for plate in source if plate not in graph.closure(target)]
        if outside:
            raise ValueError(
                f"lies on plate {outside[0]!r}, outside the reach of its plates {tuple(target)}, "
                f"which is {sorted(graph.closure(target))}"
            )
        routes = []
        for fine in target:
            covered = [p for p in source if p == fine or p in graph.ancestors(fine)]
            routes.append(tuple(graph.route(fine, coarse) for coarse in covered))
        met = [route[-1] for covered in routes for route in covered]
        if len(met) > len(set(met)):
            twice = next(p for p in met if met.count(p) > 1)
            raise ValueError(f"lies on plate {twice!r}, which several of its plates lie within")
        permutation = tuple(source.index(plate) for plate in met)
        return cls(permutation, tuple(routes), source_rank, target_rank)

    def __call__(self, value: Tensor, batch: PlateBatch) -> Tensor:
        """Align a value of shape `(draws, *source plates, *event)`."""
        if self.permutation != tuple(range(len(self.permutation))):
            plates = [1 + axis for axis in self.permutation]
            events = range(1 + len(plates), value.ndim)
            value = value.permute(0, *plates, *events)
        for _ in range(self.target_rank - self.source_rank):
            value = value.unsqueeze(1 + len(self.permutation))
        axis = 1
        for covered in self.routes:
            if not covered:
                value = value.unsqueeze(axis)
            elif len(covered) > 1:
                rows = tuple(self._positions(route, batch) for route in covered)
                value = value[(slice(None),) * axis + rows]
            elif len(covered[0]) > 1:
                value = gather(value, axis, batch.segments(covered[0]))
            axis += 1
        return value

    def transposed(self, value: Tensor, batch: PlateBatch) -> Tensor:
        """The adjoint map: sum a value `(draws, *target plates, *event)` to the source's plates.

        Axes that were inserted are summed over, rows that were gathered are added up per row of
        the source. Source and target must have the same number of event axes.
        """
        assert self.source_rank == self.target_rank
        axis = 1
        for covered in self.routes:
            if not covered:
                value = value.sum(axis)
            elif len(covered) == 1 and len(covered[0]) == 1:
                axis += 1
            elif len(covered) == 1:
                value = segment_sum(value, axis, batch.segments(covered[0]))
                axis += 1
            else:
                sizes = [len(batch.rows[route[-1]]) for route in covered]
                index = self._positions(covered[0], batch)
                for route, size in zip(covered[1:], sizes[1:], strict=True):
                    index = index * size + self._positions(route, batch)
                shape = [*value.shape[:axis], prod(sizes), *value.shape[axis + 1 :]]
                value = value.new_zeros(shape).index_add(axis, index, value)
                value = value.unflatten(axis, sizes)
                axis += len(sizes)
        inverse = sorted(range(len(self.permutation)), key=self.permutation.__getitem__)
        events = range(1 + len(inverse), value.ndim)
        return value.permute(0, *(1 + position for position in inverse), *events)

    @staticmethod
    def _positions(route: tuple[str, ...], batch: PlateBatch) -> Tensor:
        if len(route) > 1:
            return batch.link(route)
        return torch.arange(len(batch.rows[route[0]]), device=batch.like.device)
