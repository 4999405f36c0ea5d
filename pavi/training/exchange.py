"""Averaging gradients over the processes of a run.

The weights that all rows share are few, some thousand numbers, so that what they cost is not their
bytes but the calls: they travel in one piece, once the gradient is whole.
(`DistributedDataParallel` sends large gradients while others are still being computed, by a hook
per parameter; with small ones the hooks take longer than what they hide.)

Each process draws rows of its own, so the row-sparse gradients of a table differ in their rows.
Tables are exchanged row by row: what travels is what was drawn, whatever the cardinality. All of
them travel together, in two collectives: how many rows each process has, then rows and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class _Drawn(NamedTuple):
    """The gradient of the rows of a table that were drawn."""

    table: nn.Parameter
    rows: Tensor
    values: Tensor


def leave_out(module: nn.Module, tables: Sequence[nn.Parameter]) -> None:
    """Keep strategies from averaging the gradients of these parameters.

    It is a mark on the module, which `DistributedDataParallel` knows too. Nor are buffers sent in
    every step: what a guide learns of the data comes from one batch, and clipping sees the same
    norms everywhere. `share_buffers` sends them once.
    """
    left_out = {id(table) for table in tables}
    names = [name for name, p in module.named_parameters() if id(p) in left_out]
    names += [name for name, _ in module.named_buffers()]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, names)


def left_in(module: nn.Module) -> list[nn.Parameter]:
    """The parameters whose gradients a strategy is to average: all trained ones not left out."""
    apart = set(getattr(module, "_ddp_params_and_buffers_to_ignore", ()))
    return [p for name, p in module.named_parameters() if p.requires_grad and name not in apart]


def share_weights(weights: Sequence[nn.Parameter]) -> None:
    """Give every process the weights of the first."""
    for alike in _by_kind(weights):
        flat = torch.cat([weight.detach().reshape(-1) for weight in alike])
        dist.broadcast(flat, 0)
        for weight, values in zip(alike, _pieces(flat, alike), strict=True):
            weight.detach().copy_(values)


def average_weights(weights: Sequence[nn.Parameter]) -> None:
    """Replace the gradient of every weight by its mean over all processes, in one collective.

    Every process must call this with the same weights. One without a gradient counts as zeros, so
    that what travels has the same length everywhere.
    """
    for alike in _by_kind(weights):
        parts = [torch.zeros_like(w) if w.grad is None else w.grad for w in alike]
        mean = _mean(torch.cat([part.reshape(-1) for part in parts]))
        for weight, piece in zip(alike, _pieces(mean, alike), strict=True):
            weight.grad = piece


def share_buffers(module: nn.Module) -> None:
    """Give every process the buffers of the first."""
    for buffer in module.buffers():
        dist.broadcast(buffer, 0)


def average_gradients(tables: Sequence[nn.Parameter]) -> None:
    """Replace the gradient of every table by its mean over all processes.

    Every process must call this with the same tables, with gradients in all of them or in none.
    """
    found = [_drawn(table) for table in tables if table.grad is not None]
    if not found:
        return
    device, ranks = found[0].rows.device, dist.get_world_size()
    counts = torch.tensor([len(drawn.rows) for drawn in found], device=device)
    sizes = torch.stack(_gathered(counts)).tolist()  # by rank and table
    some: list[int] = []
    for number, drawn in enumerate(found):
        if min(size[number] for size in sizes) < len(drawn.table):
            some.append(number)
            continue
        drawn.table.grad = _mean(drawn.values)  # every process drew every row, in order
    if not some:
        return
    packed = _packed([found[number] for number in some])
    row_bytes = {n: 8 + found[n].values.shape[1] * found[n].values.itemsize for n in some}
    longest = max(sum(size[n] * row_bytes[n] for n in some) for size in sizes)
    parts = _gathered(torch.cat([packed, packed.new_zeros(longest - len(packed))]))
    unpacked = [
        _unpacked(part, [(found[n], size[n]) for n in some])
        for part, size in zip(parts, sizes, strict=True)
    ]
    for position, number in enumerate(some):
        table = found[number].table
        rows = torch.cat([part[position][0] for part in unpacked])
        values = torch.cat([part[position][1] for part in unpacked]) / ranks
        table.grad = torch.sparse_coo_tensor(
            rows.unsqueeze(0), values, size=table.shape, check_invariants=False
        ).coalesce()


def average_owned(tables: Sequence[nn.Parameter], ranks: int) -> None:
    """Divide the gradients of rows that only this process has by the number of processes.

    Their mean over processes is that of the gradient here and of zeros.
    """
    for table in tables:
        if table.grad is not None:
            table.grad /= ranks


def _mean(values: Tensor) -> Tensor:
    """Over all processes, of a tensor that has one length everywhere; it is overwritten."""
    ranks = dist.get_world_size()
    if ranks == 2:
        # As many bytes as an all-reduce sends, in one round of messages and not in two.
        return torch.stack(_gathered(values)).mean(0)
    dist.all_reduce(values)
    return values.div_(ranks)


def _by_kind(weights: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Those that one tensor can hold together."""
    kinds: dict[torch.dtype, list[nn.Parameter]] = {}
    for weight in weights:
        kinds.setdefault(weight.dtype, []).append(weight)
    return list(kinds.values())


def _pieces(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of one piece, in the shapes of what it was made of."""
    pieces = flat.split([tensor.numel() for tensor in like])
    return [piece.view_as(tensor) for piece, tensor in zip(pieces, like, strict=True)]


def _drawn(table: nn.Parameter) -> _Drawn:
    gradient = table.grad
    assert gradient is not None
    if not gradient.is_sparse:
        return _Drawn(table, torch.arange(len(table), device=table.device), gradient)
    gradient = gradient.coalesce()
    return _Drawn(table, gradient.indices()[0], gradient.values())


def _packed(found: Sequence[_Drawn]) -> Tensor:
    """The rows of all tables and then their values, as bytes."""
    parts = [drawn.rows.contiguous() for drawn in found]
    parts += [drawn.values.contiguous() for drawn in found]
    return torch.cat([part.view(-1).view(torch.uint8) for part in parts])


def _unpacked(packed: Tensor, like: Sequence[tuple[_Drawn, int]]) -> list[tuple[Tensor, Tensor]]:
    """Rows and values per table, as `_packed` by a process that drew so many rows of each."""
    start, rows, values = 0, [], []
    for _, size in like:
        rows.append(packed[start : start + 8 * size].view(torch.int64))
        start += 8 * size
    for drawn, size in like:
        width, dtype = drawn.values.shape[1], drawn.values.dtype
        end = start + size * width * dtype.itemsize
        values.append(packed[start:end].view(dtype).view(size, width))
        start = end
    return list(zip(rows, values, strict=True))


def _gathered(value: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(value) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, value.contiguous())
    return parts
