"""One rank of sharded runs that stop and go on.

`torchrun --nproc-per-node RANKS resuming_processes.py OUT FOLDER:UNTIL ...` trains in every
folder of checkpoints until a step, going on from what is there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from training.sharded_processes import SCHEMES, data_of, guide_of

import pavi
from pavi.data import Shard
from pavi.training import train

SCHEME = "nest"
RUN = {"seed": 5}


class Last(pl.Callback):
    """Keeps the steps that were taken, and the state in the end."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.optimizer: dict[str, Any] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.steps.append(trainer.global_step)
        self.optimizer = trainer.optimizers[0].state_dict()


def module_of(rank: int, ranks: int) -> tuple[pavi.VariationalInference, pavi.PlateDataModule]:
    """The rank of a run on so many."""
    _, _, plate, batch, _ = SCHEMES[SCHEME]
    data = data_of(SCHEME)
    shard = Shard.of(data, plate, rank=rank, ranks=ranks)
    module = pavi.VariationalInference(
        guide_of(SCHEME, shard.data.cardinalities),
        optimization=pavi.Optimization(schedule="constant"),
        shard=shard,
    )
    return module, pavi.PlateDataModule(data, batch=batch, seed=5, shard=shard)


def run(folder: Path, steps: int, *, rank: int, ranks: int) -> dict[str, Any]:
    """Train, going on from what is there; what this rank has in the end."""
    module, stream = module_of(rank, ranks)
    last = Last()
    train(
        module,
        stream,
        steps=steps,
        checkpoints=folder,
        callbacks=[last],
        devices=ranks,
        accelerator="cpu",
        run=RUN,
    )
    return {
        "steps": last.steps,
        "state": module.guide.state_dict(),
        "optimizer": last.optimizer,
        "clipping": module.clipping.state_dict(),
    }


def main(out: Path, *stages: str) -> None:
    """All stages, one after the other."""
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    for stage in stages:
        folder, until = stage.split(":")
        found = run(out / folder, int(until), rank=rank, ranks=ranks)
        torch.save(found, out / f"{folder}.{until}.{rank}.pt")
    # A process that ends while the other still talks to it may abort.
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
