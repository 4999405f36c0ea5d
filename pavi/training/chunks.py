"""The rows of a rank for `torch.distributed.checkpoint`: which slice of which tensor they are.

Its planners are the place where a program says so. What it takes for granted of a sharded tensor,
that all ranks split it alike along the first axis, does not hold of the rows below a plate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import (
    LoadPlan,
    SavePlan,
    TensorWriteData,
    WriteItem,
    WriteItemType,
)
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list

# A reader reads whole pieces of at most so many numbers, whatever part of them it wants.
PIECE = 2**24


@final
@dataclass(frozen=True)
class Slice:
    """Where a tensor lies in that of all ranks, which it is a slice of along one axis."""

    axis: int
    start: int
    total: int

    def pieces(self, shape: torch.Size) -> Iterator[ChunkStorageMetadata]:
        """The slice cut along its axis, as offsets and sizes in the tensor of all ranks."""
        length = shape[self.axis]
        step = max(1, PIECE * length // max(1, math.prod(shape)))
        for begin in range(0, length, step):
            offsets, sizes = [0] * len(shape), list(shape)
            offsets[self.axis] = self.start + begin
            sizes[self.axis] = min(step, length - begin)
            yield ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes))

    def whole(self, shape: torch.Size) -> torch.Size:
        """The shape of the tensor of all ranks."""
        sizes = list(shape)
        sizes[self.axis] = self.total
        return torch.Size(sizes)


@final
class SliceSavePlanner(DefaultSavePlanner):
    """Writes tensors as slices of those of all ranks.

    Args:
        slices: Per tensor, where it lies.
    """

    def __init__(self, slices: Mapping[str, Slice]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._slices = slices

    def create_local_plan(self) -> SavePlan:
        """See `SavePlanner`."""
        self.plan = SavePlan(
            [
                WriteItem(
                    index=MetadataIndex(name, chunk.offsets),
                    type=WriteItemType.SHARD,
                    tensor_data=TensorWriteData(
                        chunk=chunk,
                        properties=TensorProperties.create_from_tensor(tensor),
                        size=self._slices[name].whole(tensor.shape),
                    ),
                )
                for name, tensor in self.state_dict.items()
                for chunk in self._slices[name].pieces(tensor.shape)
            ]
        )
        return self.plan

    def lookup_object(self, index: MetadataIndex) -> Tensor:
        """See `DefaultSavePlanner`: the piece that starts there."""
        tensor, where = self.state_dict[index.fqn], self._slices[index.fqn]
        for chunk in where.pieces(tensor.shape):
            if chunk.offsets == index.offset:
                begin = chunk.offsets[where.axis] - where.start
                return tensor.narrow(where.axis, begin, chunk.sizes[where.axis])
        raise AssertionError(f"no piece {index}")


@final
class SliceLoadPlanner(DefaultLoadPlanner):
    """Reads slices of tensors that any number of ranks wrote.

    Args:
        slices: Per tensor, where it lies.
    """

    def __init__(self, slices: Mapping[str, Slice]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._slices = slices

    def create_local_plan(self) -> LoadPlan:
        """See `LoadPlanner`."""
        assert self.metadata is not None
        items: list[Any] = []
        for name, tensor in self.state_dict.items():
            stored = self.metadata.state_dict_metadata[name]
            assert isinstance(stored, TensorStorageMetadata)
            offsets = [0] * tensor.ndim
            offsets[self._slices[name].axis] = self._slices[name].start
            chunk = ChunkStorageMetadata(torch.Size(offsets), tensor.shape)
            items += create_read_items_for_chunk_list(name, stored, [chunk])
        return LoadPlan(items)

    def lookup_tensor(self, index: MetadataIndex) -> Tensor:
        """See `DefaultLoadPlanner`."""
        return self.state_dict[index.fqn]
