r"""What is logged of a step besides its loss.

The gradient is measured in parts, since the parts of a guide learn at rates of their own: the
rows of the encoding tables, the networks that compute encodings, and the rest, which are the
flows. The parts are disjoint and together are all parameters, so that

.. math:: \lVert g \rVert^2 = \lVert g_\text{tables} \rVert^2 + \lVert g_\text{networks} \rVert^2
    + \lVert g_\text{flows} \rVert^2 .
"""

from __future__ import annotations

import time
from typing import Any, final

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from pavi.core import PlateBatch
from pavi.data import PlateDataModule
from pavi.guides.base import Guide
from pavi.training.clipping import gradient_norm


def logs_this_step(trainer: pl.Trainer) -> bool:
    """Whether the step that is under way is one that Lightning writes to a log."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return bool(trainer.loggers) and (trainer.global_step + 1) % every == 0


@torch.no_grad()
def gradient_norms(guide: Guide) -> dict[str, Tensor]:
    """The Euclidean norm of the gradient of each part of a guide, of those that have one.

    Args:
        guide: After a backward pass.

    Returns:
        By `tables`, `networks` and `flows`.
    """
    tables, networks = guide.tables(), guide.networks()
    apart = {id(parameter) for parameter in (*tables, *networks)}
    parts: dict[str, list[nn.Parameter]] = {
        "tables": tables,
        "networks": networks,
        "flows": [p for p in guide.parameters() if id(p) not in apart],
    }
    found = {}
    for part, parameters in parts.items():
        if gradients := [p.grad for p in parameters if p.grad is not None]:
            found[part] = gradient_norm(gradients)
    return found


@final
class StepLog(pl.Callback):
    """Logs the ELBO per latent, gradients, rows and the time of the steps that Lightning logs.

    `train/elbo_per_latent`, `grad_norm/<tables|networks|flows>` before clipping and averaged over
    processes (of tables that are split, the first one's rows), `plates/<plate>/batch`, and, as
    means since the last such step, `time/step_ms` and `time/wait_ms`, the part of it that was
    spent waiting for its batch.

    Args:
        num_latents: Latent dimensions of the grounded model, on all rows of the plates.

    Raises:
        ValueError: If there are none.
    """

    def __init__(self, *, num_latents: int) -> None:
        if num_latents < 1:
            raise ValueError(f"num_latents must be positive, got {num_latents}.")
        self._num_latents = num_latents
        self._logged: tuple[int, float, float] | None = None
        self._logs = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._logged = (trainer.global_step, time.perf_counter(), _waited(trainer))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: PlateBatch, batch_idx: int
    ) -> None:
        """Ask once: when the step ends, Lightning has counted it."""
        self._logs = logs_this_step(trainer)

    def on_before_optimizer_step(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Measure the gradients, before they are clipped."""
        if self._logs:
            guide: Guide = pl_module.guide  # type: ignore[assignment]
            for part, norm in gradient_norms(guide).items():
                pl_module.log(f"grad_norm/{part}", norm, batch_size=1)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: PlateBatch,
        batch_idx: int,
    ) -> None:
        """Log the rest."""
        if not self._logs:
            return
        assert self._logged is not None
        since, before, had_waited = self._logged
        self._logged = (trainer.global_step, time.perf_counter(), _waited(trainer))
        step, now, waited = self._logged
        loss = trainer.strategy.reduce(outputs["loss"].detach().clone(), reduce_op="mean")
        elbo = -float(loss)
        pl_module.log("train/elbo_per_latent", elbo / self._num_latents, batch_size=1)
        pl_module.log("time/step_ms", 1000 * (now - before) / (step - since), batch_size=1)
        wait = 1000 * (waited - had_waited) / (step - since)
        pl_module.log("time/wait_ms", wait, batch_size=1)
        for plate, rows in batch.rows.items():
            pl_module.log(f"plates/{plate}/batch", float(len(rows)), batch_size=1)


def _waited(trainer: pl.Trainer) -> float:
    """The seconds that steps have waited for batches; none where nobody counts them."""
    stream = trainer.datamodule  # type: ignore[attr-defined]
    return stream.waited if isinstance(stream, PlateDataModule) else 0.0
