"""How the processes of a run work together, as Lightning strategies."""

from __future__ import annotations

from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy

from pavi.training.quiet import quiet


@final
class RanksDDP(DDPStrategy):
    """`DistributedDataParallel` as runs of this library need it.

    Gradients are views of what is sent, which saves a copy.

    Args:
        sharded: Whether every rank has rows of its own to write to a checkpoint. Otherwise the
            first rank writes it.
    """

    def __init__(self, *, sharded: bool = False) -> None:
        super().__init__(gradient_as_bucket_view=True)
        self._sharded = sharded

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None
    ) -> None:
        """See `DDPStrategy`."""
        if self._sharded or self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, filepath, storage_options)


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
