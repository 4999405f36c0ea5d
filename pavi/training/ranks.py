"""Things that all ranks do together, so that all of them know when one of them fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Result = TypeVar("Result")


class RankError(RuntimeError):
    """Something failed on some rank; raised on all of them."""


def on_every_rank(action: Callable[[], Result]) -> list[Result]:
    """The results of all ranks.

    Raises:
        RankError: On every rank, if the action raises on any of them.
    """
    result: Result | None = None
    failure: str | None = None
    try:
        result = action()
    except Exception as error:  # anything that would leave the others waiting
        failure = f"{type(error).__name__}: {error}"
    outcomes: list[Any] = [(result, failure)]
    if dist.is_initialized():
        outcomes = [None] * dist.get_world_size()
        dist.all_gather_object(outcomes, (result, failure))
    failures = [f"rank {n}: {failure}" for n, (_, failure) in enumerate(outcomes) if failure]
    if failures:
        raise RankError("; ".join(failures))
    return [found for found, _ in outcomes]


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of what every rank has, on every rank, where the value lies."""
    total = value.detach().to(_device_of_collectives(), copy=True)
    dist.all_reduce(total)
    return total.to(value.device)


def _device_of_collectives() -> torch.device:
    """Where the tensors of collectives must lie."""
    nccl = dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if nccl else torch.device("cpu")


def this_rank() -> tuple[int, int]:
    """The number of this process, and how many there are."""
    if not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()
