"""One training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl

from pavi.training.callbacks import FitProgress, History
from pavi.training.checkpoints import check_checkpoint, checkpointing, latest_checkpoint
from pavi.training.compilation import compiled
from pavi.training.quiet import quiet
from pavi.training.sharded_checkpoints import ShardedCheckpoints
from pavi.training.strategy import strategy_of
from pavi.training.variational_inference import VariationalInference


def train(
    module: VariationalInference,
    stream: pl.LightningDataModule,
    *,
    steps: int,
    checkpoints: Path | None = None,
    progress: bool = False,
    callbacks: Sequence[pl.Callback] = (),
    devices: int = 1,
    nodes: int = 1,
    accelerator: str = "auto",
    compile: bool = False,
) -> dict[str, Sequence[float | int]]:
    """Train, going on from the latest checkpoint if there is one; returns the course of the ELBO.

    Args:
        module: The guide with its objective and optimiser.
        stream: The plate-batches.
        steps: The number of steps.
        checkpoints: A folder for checkpoints.
        progress: Whether to show a bar.
        callbacks: Further Lightning callbacks.
        devices: How many devices, on each node.
        nodes: How many machines.
        accelerator: Lightning's accelerator.
        compile: Whether to compile the flows.
    """
    history = History()
    extra: list[pl.Callback] = [history, *callbacks]
    if progress:
        extra.append(FitProgress())
    resume = None
    if checkpoints is not None:
        if resume := latest_checkpoint(checkpoints):
            check_checkpoint(resume)
        extra.append(checkpointing(checkpoints, every=max(1, steps // 10)))
    with quiet(), compiled(module.guide, enabled=compile):
        trainer = pl.Trainer(
            max_steps=steps,
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            plugins=None if module.sharding is None else [ShardedCheckpoints()],
            strategy=strategy_of(
                devices=devices, nodes=nodes, sharded=module.sharding is not None
            ),
            callbacks=extra,
            logger=False,
            enable_checkpointing=checkpoints is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, stream, ckpt_path=resume)
    return {"steps": history.steps, "seconds": history.seconds, "elbo": history.elbo}
