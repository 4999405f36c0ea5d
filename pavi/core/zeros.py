"""Zeros that take no memory until something is written to them."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

# Zeros of fewer bytes are there in a few milliseconds, whatever is done with them.
LARGE = 2**25


def lazy_zeros(*shape: int, dtype: torch.dtype) -> Tensor:
    """Zeros on the CPU; of a large tensor only pages of memory that are touched are taken.

    `torch.zeros` writes them all, and a table with a row per ground variable is mostly rows that
    a run never draws. Large pages of the system are declined: one row would take two megabytes.

    Args:
        shape: The shape.
        dtype: The type of the numbers.
    """
    size = prod(shape) * dtype.itemsize
    if size < LARGE or sys.platform == "win32":
        return torch.zeros(shape, dtype=dtype)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)


def lazy_zeros_like(tensor: Tensor, shape: Sequence[int] | None = None) -> Tensor:
    """Zeros as `lazy_zeros` makes them, on the device of a tensor and of its type."""
    shape = tensor.shape if shape is None else shape
    if tensor.device.type != "cpu":
        return tensor.new_zeros(shape)
    return lazy_zeros(*shape, dtype=tensor.dtype)
