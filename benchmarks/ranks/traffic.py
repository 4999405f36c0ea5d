"""How many bytes a rank hands to collectives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import pytorch_lightning as pl
import torch.distributed as dist
from torch import Tensor


@final
class Traffic(pl.Callback):
    """Counts the bytes and the calls of the collectives of the steps of a run.

    They are counted where this library and Lightning call `torch.distributed`.
    """

    def __init__(self) -> None:
        self.bytes = self.calls = self.steps = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count from here."""
        self.bytes = self.calls = self.steps = 0

    def on_train_batch_end(self, *_: Any) -> None:
        """One more step."""
        self.steps += 1

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what is called inside."""
        before = {name: getattr(dist, name) for name in ("all_reduce", "broadcast", "all_gather")}

        def all_reduce(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            self._count(tensor)
            return before["all_reduce"](tensor, *args, **kwargs)

        def broadcast(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            self._count(tensor)
            return before["broadcast"](tensor, *args, **kwargs)

        def all_gather(parts: list[Tensor], tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            self._count(tensor)
            return before["all_gather"](parts, tensor, *args, **kwargs)

        for function in (all_reduce, broadcast, all_gather):
            setattr(dist, function.__name__, function)
        try:
            yield
        finally:
            for name, function in before.items():
                setattr(dist, name, function)

    def _count(self, tensor: Tensor) -> None:
        self.bytes += tensor.nbytes
        self.calls += 1
