"""Averaging the gradients of encoding tables over the processes of a run.

Each process draws rows of its own, so the row-sparse gradients of a table differ in their rows.
`DistributedDataParallel` averages dense gradients of one shape; tables are left out of it and
exchanged here, row by row: what travels is what was drawn, whatever the cardinality.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def leave_out(module: nn.Module, tables: Sequence[nn.Parameter]) -> None:
    """Keep `DistributedDataParallel` from averaging the gradients of these parameters."""
    left_out = {id(table) for table in tables}
    names = [name for name, p in module.named_parameters() if id(p) in left_out]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, names)


def average_gradients(tables: Sequence[nn.Parameter]) -> None:
    """Replace the gradient of every table by its mean over all processes.

    Every process must call this with the same tables, with gradients in all of them or in none.
    """
    found = [(table, *_rows_and_values(table)) for table in tables if table.grad is not None]
    if not found:
        return
    counts = _gathered(
        torch.tensor([len(rows) for _, rows, _ in found], device=found[0][1].device)
    )
    for (table, rows, values), sizes in zip(found, torch.stack(counts).T.tolist(), strict=True):
        if min(sizes) == len(table):  # every process drew every row, in order
            dist.all_reduce(values)
            table.grad = values / dist.get_world_size()
            continue
        size = max(sizes)
        all_rows = _gathered(_padded(rows, size))
        all_values = _gathered(_padded(values, size))
        table.grad = torch.sparse_coo_tensor(
            torch.cat([part[:n] for part, n in zip(all_rows, sizes, strict=True)]).unsqueeze(0),
            torch.cat([part[:n] for part, n in zip(all_values, sizes, strict=True)])
            / dist.get_world_size(),
            size=table.shape,
            check_invariants=False,
        ).coalesce()


def _rows_and_values(table: nn.Parameter) -> tuple[Tensor, Tensor]:
    gradient = table.grad
    assert gradient is not None
    if not gradient.is_sparse:
        return torch.arange(len(table), device=table.device), gradient
    gradient = gradient.coalesce()
    return gradient.indices()[0], gradient.values()


def _padded(values: Tensor, size: int) -> Tensor:
    return torch.cat([values, values.new_zeros(size - len(values), *values.shape[1:])])


def _gathered(value: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(value) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, value.contiguous())
    return parts
