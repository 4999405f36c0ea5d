"""One training run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from pavi.training.callbacks import FitProgress, History
from pavi.training.checkpoint_files import WholeCheckpoints
from pavi.training.checkpoints import Checkpoints, checkpoint_to_resume, latest_checkpoint
from pavi.training.compilation import compiled
from pavi.training.quiet import quiet
from pavi.training.sharded_checkpoints import ShardedCheckpoints
from pavi.training.stopping import (
    FitStopped,
    ProcessLostError,
    StopSignals,
    fit_until_stopped,
)
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
    run: Mapping[str, Any] | None = None,
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
        run: What tells this run from others, which checkpoints of another one are refused by.

    Raises:
        ValueError: If the checkpoints are damaged or of another run, or none can be written.
        DiskFullError: If the disk has no room for a checkpoint; the one before stays.
        FitStopped: If SIGTERM or SIGUSR1 ended a run that writes checkpoints, with one.
        KeyboardInterrupt: If Ctrl-C did.
        ProcessLostError: If another process of the run was lost.
    """
    history, stop = History(), StopSignals(keeps=checkpoints is not None)
    extra: list[pl.Callback] = [history, stop, *callbacks]
    if progress:
        extra.append(FitProgress())
    resume = None
    if checkpoints is not None:
        resume = checkpoint_to_resume(checkpoints, run=run)
        extra.append(Checkpoints(checkpoints, every=max(1, steps // 10), stop=stop, run=run))
    with quiet(), compiled(module.guide, enabled=compile):
        trainer = pl.Trainer(
            max_steps=steps,
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=strategy_of(
                devices=devices, nodes=nodes, sharded=module.sharding is not None
            ),
            callbacks=extra,
            plugins=[WholeCheckpoints() if module.sharding is None else ShardedCheckpoints()],
            logger=False,
            enable_checkpointing=checkpoints is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        try:
            fit_until_stopped(trainer, module, stream, stop=stop, resume=resume)
        except FitStopped as end:
            if trainer.is_global_zero:  # an exit says nothing by itself
                print(f"{end}. {where_to_go_on(checkpoints)}", file=sys.stderr)
            raise
        except KeyboardInterrupt as end:
            done = str(end) or "interrupted"
            raise KeyboardInterrupt(f"{done}. {where_to_go_on(checkpoints)}") from None
        except ProcessLostError as error:
            raise ProcessLostError(f"{error}. {where_to_go_on(checkpoints)}") from error
    return {"steps": history.steps, "seconds": history.seconds, "elbo": history.elbo}


def where_to_go_on(checkpoints: Path | None) -> str:
    """Where a run that ended early goes on, as a sentence."""
    if checkpoints is not None and (last := latest_checkpoint(checkpoints)):
        return f"The last checkpoint is {last}; the same again goes on from there."
    return "Nothing was kept; the same again starts anew."
