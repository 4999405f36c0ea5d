"""Variational inference as a LightningModule: it steps, logs and configures the optimiser."""

from __future__ import annotations

from typing import Any, final

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from pavi.core import PlateBatch
from pavi.guides.base import Guide
from pavi.objectives import ELBOTerms, ReducedELBO, WarmUp
from pavi.training.clipping import clip_gradients
from pavi.training.exchange import average_gradients, leave_out
from pavi.training.optimization import Optimization


class NonFiniteLossError(RuntimeError):
    """The loss is NaN or infinite."""


@final
class VariationalInference(pl.LightningModule):
    """Fits a guide to data.

    Args:
        guide: The variational family, with its model.
        objective: What a step minimises; the reduced ELBO by default.
        warm_up: What the first part of the run weighs otherwise; a cool start by default.
        optimization: Learning rates, schedule and clipping.

    Raises:
        NonFiniteLossError: In a step whose loss is not finite, with the step and the sites.

    Example:
        `pl.Trainer(max_steps=2000).fit(VariationalInference(guide), PlateDataModule(data))`
    """

    def __init__(
        self,
        guide: Guide,
        *,
        objective: ReducedELBO | None = None,
        warm_up: WarmUp | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        super().__init__()
        self.guide = guide
        self.objective = objective or ReducedELBO()
        self.warm_up = warm_up or WarmUp()
        self.optimization = optimization or Optimization()
        leave_out(self, guide.tables())

    def on_fit_start(self) -> None:
        """Let the guide learn where the data lie."""
        stream = self.trainer.datamodule  # type: ignore[attr-defined]
        if stream is not None:
            self.guide.standardise(stream.reference().to(self.device))

    def training_step(self, batch: PlateBatch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        progress = self.global_step / self.trainer.estimated_stepping_batches
        emphasis = self.warm_up.emphasis(progress)
        result = self.objective(self.guide, batch, emphasis=emphasis)
        if not torch.isfinite(result.loss):
            raise NonFiniteLossError(self._blame(result))
        if self._logs_this_step():
            elbo = -result.loss.detach()
            self.log("train/elbo", elbo, batch_size=1)
            for name, term in result.terms.items():
                self.log(f"train/elbo_{name}", term, batch_size=1)
        return result.loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Row-wise Adam and its schedule."""
        optimizer = self.optimization.optimizer(self.guide)
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = self.optimization.scheduler(
            optimizer, steps, tables_from=self.guide.tables_from
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Average the gradients of tables over processes; Lightning does so for the others."""
        if self.trainer.world_size > 1:
            average_gradients(self.guide.tables())

    def configure_gradient_clipping(self, *arguments: Any, **named: Any) -> None:
        """Clip dense and sparse gradients together; Lightning's own refuses the sparse."""
        if self.optimization.clip_norm is not None:
            norm = clip_gradients(self.guide.parameters(), self.optimization.clip_norm)
            if self._logs_this_step():
                self.log("grad_norm", norm, batch_size=1)

    def _logs_this_step(self) -> bool:
        trainer = self.trainer
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        return bool(trainer.loggers) and (trainer.global_step + 1) % every == 0

    def _blame(self, result: ELBOTerms) -> str:
        terms = {name: float(term) for name, term in result.terms.items()}
        bad = {n: t for n, t in terms.items() if t != t or abs(t) == float("inf")}
        listed = ", ".join(f"{name} ({term})" for name, term in bad.items()) or "their sum"
        broken = [n for n, p in self.guide.named_parameters() if not torch.isfinite(p).all()]
        hint = (
            f"These parameters are not finite either: {broken}; the step before had a gradient "
            "that was not finite."
            if broken
            else "All parameters are finite: look at the distribution of these sites."
        )
        return (
            f"step {self.global_step}: the loss is {float(result.loss.detach())}; "
            f"the sites to blame are {listed}. {hint} "
            "A smaller learning rate or clip_norm may help."
        )
