"""How the processes of a run work together, as Lightning strategies."""

from __future__ import annotations

import atexit
from typing import Any, final

import pytorch_lightning as pl
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn

from pavi.training.exchange import average_weights, left_in, share_weights
from pavi.training.quiet import quiet
from pavi.training.stopping import StopSignals


@final
class RanksDDP(DDPStrategy):
    """Data-parallel training whose few weights are averaged in one piece after each gradient.

    The gradients are those of `DistributedDataParallel`, which this does without: see
    `pavi.training.exchange`. Parameters that a module leaves out of it are left out here as well.

    Args:
        sharded: Whether every rank has rows of its own to write to a checkpoint. Otherwise the
            first rank writes it.
    """

    def __init__(self, *, sharded: bool = False) -> None:
        super().__init__()
        self._sharded = sharded
        self._weights: list[nn.Parameter] = []

    def configure_ddp(self) -> None:
        """Start all ranks with the weights of the first, in place of a wrapper that does."""
        assert self.lightning_module is not None
        self._weights = left_in(self.lightning_module)
        share_weights(self._weights)

    def setup(self, trainer: pl.Trainer) -> None:
        """See `DDPStrategy`; and spare a collective in every step.

        Before each step Lightning has the first rank tell the others whether SIGTERM came, for
        which the others wait. `StopSignals`, which handles the signal, tells them on its own.
        """
        super().setup(trainer)
        if any(isinstance(callback, StopSignals) for callback in trainer.callbacks):  # type: ignore[attr-defined]
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _tell_nothing  # type: ignore[method-assign]

    def post_backward(self, closure_loss: Tensor) -> None:
        """Average the gradients of the weights."""
        average_weights(self._weights)

    def setup_environment(self) -> None:
        """See `DDPStrategy`; Lightning itself takes leave of NCCL alone when a process ends."""
        super().setup_environment()
        atexit.register(leave)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None
    ) -> None:
        """See `DDPStrategy`."""
        if self._sharded or self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, filepath, storage_options)


def _tell_nothing() -> None:
    """In place of what is told another way."""


def leave() -> None:
    """Take leave of the other processes; one that ends without it may abort."""
    if dist.is_initialized():
        dist.destroy_process_group()


def strategy_of(*, devices: int, nodes: int = 1, sharded: bool = False) -> RanksDDP | str:
    """The strategy of a run.

    Args:
        devices: On each node.
        nodes: The number of machines.
        sharded: Whether every rank has rows of its own.
    """
    return RanksDDP(sharded=sharded) if devices * nodes > 1 else "auto"


def rank_and_ranks(*, devices: int, nodes: int = 1, accelerator: str = "auto") -> tuple[int, int]:
    """The number of this process and how many there will be, before a run is built.

    Whoever starts the processes, Lightning, torchrun or Slurm, tells each its number; this is how
    Lightning reads it.

    Args:
        devices: On each node.
        nodes: The number of machines.
        accelerator: Lightning's accelerator.
    """
    with quiet():
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=strategy_of(devices=devices, nodes=nodes),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    return trainer.global_rank, trainer.world_size
