"""Variational inference as a LightningModule: it steps, logs and configures the optimiser."""

from __future__ import annotations

from typing import final

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from pavi.core import PlateBatch
from pavi.core.listing import few
from pavi.data import Shard
from pavi.guides.base import Guide
from pavi.objectives import ELBOTerms, ForwardKL, ReducedELBO, WarmUp
from pavi.training.exchange import average_gradients, average_owned, leave_out, share_buffers
from pavi.training.optimization import Optimization
from pavi.training.sharded_checkpoints import ShardedCheckpoints
from pavi.training.sharded_state import sharded_state
from pavi.training.sharding import Sharding, norm_over_ranks
from pavi.training.step_log import logs_this_step

SHOWN = 5  # names of parameters in a message


class NonFiniteLossError(RuntimeError):
    """The loss or its gradient is NaN or infinite."""


@final
class VariationalInference(pl.LightningModule):
    """Fits a guide to data.

    Args:
        guide: The variational family, with its model.
        objective: What a step minimises; the reduced ELBO by default.
        warm_up: What the first part of the run weighs otherwise; nothing by default.
        optimization: Learning rates, schedule and clipping.
        standardise: Whether the guide first learns where the data lie; not if it was trained.
        shard: The rows of this rank, whose tables the guide then holds; all of the data if None.

    Raises:
        ValueError: If the guide does not fit the shard.
        NonFiniteLossError: In a step whose loss or gradient is not finite, with the step and the
            sites; such a step changes nothing.

    Example:
        `pl.Trainer(max_steps=2000).fit(VariationalInference(guide), PlateDataModule(data))`
    """

    def __init__(
        self,
        guide: Guide,
        *,
        objective: ReducedELBO | ForwardKL | None = None,
        warm_up: WarmUp | None = None,
        optimization: Optimization | None = None,
        standardise: bool = True,
        shard: Shard | None = None,
    ) -> None:
        super().__init__()
        self.guide = guide
        self.objective = objective or ReducedELBO()
        self.warm_up = warm_up or WarmUp()
        self.optimization = optimization or Optimization()
        self._standardise = standardise
        self.clipping = self.optimization.clipping()
        self.sharding = None if shard is None else Sharding.of(guide, shard)
        leave_out(self, guide.tables())

    def setup(self, stage: str) -> None:
        """Tell what writes checkpoints which rows this rank owns.

        Raises:
            ValueError: If the shard is that of another rank, or checkpoints would hold the rows of
                one rank only.
        """
        if self.sharding is None:
            return
        trainer = self.trainer
        check_rank(self.sharding.shard, rank=trainer.global_rank, ranks=trainer.world_size)
        checkpoints = trainer.strategy.checkpoint_io
        if isinstance(checkpoints, ShardedCheckpoints):
            checkpoints.state = sharded_state(self, self.guide, self.sharding)
        elif trainer.checkpoint_callbacks and self.sharding.shard.ranks > 1:
            raise ValueError(
                f"checkpoints by {type(checkpoints).__name__} would hold the rows of the first "
                "rank only; use Trainer(plugins=[pavi.training.ShardedCheckpoints()], "
                "strategy=pavi.training.RanksDDP(sharded=True)), or enable_checkpointing=False."
            )

    def on_fit_start(self) -> None:
        """Let the guide learn where the data lie."""
        stream = self.trainer.datamodule  # type: ignore[attr-defined]
        if stream is not None and self._standardise:
            self.guide.standardise(stream.reference().to(self.device))
        if self.trainer.world_size > 1:
            share_buffers(self)

    def training_step(self, batch: PlateBatch, batch_idx: int) -> Tensor:
        """The loss of a batch.

        Raises:
            NonFiniteLossError: If it is NaN or infinite.
        """
        progress = self.global_step / self.trainer.max_steps
        emphasis = self.warm_up.emphasis(progress)
        result = self.objective(self.guide, batch, emphasis=emphasis)
        if not torch.isfinite(result.loss):
            raise NonFiniteLossError(self._blame(result))
        if logs_this_step(self.trainer):
            self._log_terms(result)
        return result.loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Row-wise Adam and its schedule.

        Raises:
            ValueError: If the trainer has no `max_steps`.
        """
        optimizer = self.optimization.optimizer(self.guide)
        steps = self.trainer.max_steps
        if steps < 1:
            raise ValueError(
                "plate-batches never end: give the run a length, Trainer(max_steps=2000)."
            )
        scheduler = self.optimization.scheduler(
            optimizer, steps, tables_from=self.guide.tables_from
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_after_backward(self) -> None:
        """Average the gradients of tables over processes; the strategy does so for the others.

        Both before a callback that looks at gradients before the optimiser.
        """
        if (ranks := self.trainer.world_size) == 1:
            return
        if self.trainer.fit_loop._should_accumulate():
            return  # owned rows are divided once, when all batches of the step are in
        if self.sharding is None:
            average_gradients(self.guide.tables())
        else:
            average_gradients(self.sharding.common)
            average_owned(list(self.sharding.owned.values()), ranks)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip dense and sparse gradients together; Lightning's own refuses the sparse.

        Raises:
            ValueError: If the trainer is to clip as well.
            NonFiniteLossError: If the gradient is NaN or infinite.
        """
        if gradient_clip_val is not None:
            raise ValueError(
                f"Trainer(gradient_clip_val={gradient_clip_val}) cannot clip row-sparse "
                f"gradients; use Optimization(clip_norm={gradient_clip_val})."
            )
        norm = self._clip()
        if not torch.isfinite(norm):
            named = [(n, p.grad) for n, p in self.guide.named_parameters() if p.grad is not None]
            broken = [n for n, g in named if not torch.isfinite(g.to_dense()).all()]
            raise NonFiniteLossError(
                f"step {self.global_step}: the gradient is not finite at "
                f"{few(broken, SHOWN) or 'their sum'}; "
                "the parameters are as they were before the step. Look at the distributions of "
                "these sites; a smaller learning rate may help."
            )

    def _log_terms(self, result: ELBOTerms) -> None:
        """Log the ELBO and its terms, the mean over ranks: one of them may know its rows only."""
        named = {"train/elbo": -result.loss.detach()}
        named |= {f"train/elbo_{name}": term for name, term in result.terms.items()}
        stacked = torch.stack([value.to(result.loss) for value in named.values()])
        means = self.trainer.strategy.reduce(stacked, reduce_op="mean")
        for name, value in zip(named, means.unbind(), strict=True):
            self.log(name, value, batch_size=1)

    def _clip(self) -> Tensor:
        """Clip by the norm of all gradients, over all ranks where tables are split."""
        owned = [] if self.sharding is None else list(self.sharding.owned.values())
        if not owned or self.trainer.world_size == 1:
            return self.clipping(self.guide.parameters())
        apart = {id(table) for table in owned}
        shared = [p for p in self.guide.parameters() if id(p) not in apart]
        return self.clipping(shared, owned=owned, over_ranks=norm_over_ranks)

    def _blame(self, result: ELBOTerms) -> str:
        terms = {name: float(term) for name, term in result.terms.items()}
        bad = {n: t for n, t in terms.items() if t != t or abs(t) == float("inf")}
        listed = ", ".join(f"{name} ({term})" for name, term in bad.items()) or "their sum"
        broken = [n for n, p in self.guide.named_parameters() if not torch.isfinite(p).all()]
        hint = (
            f"These parameters are not finite either: {few(broken, SHOWN)}; the step before had a "
            "gradient that was not finite."
            if broken
            else "All parameters are finite: look at the distribution of these sites."
        )
        return (
            f"step {self.global_step}: the loss is {float(result.loss.detach())}; "
            f"the sites to blame are {listed}. {hint} "
            "A smaller learning rate or clip_norm may help."
        )


def check_rank(shard: Shard, *, rank: int, ranks: int) -> None:
    """This process is the rank that a shard is of.

    Raises:
        ValueError: If not.
    """
    if (rank, ranks) != (shard.rank, shard.ranks):
        raise ValueError(
            f"the shard is that of rank {shard.rank} of {shard.ranks}; this process is rank "
            f"{rank} of {ranks}. Make it with those of the trainer, global_rank and world_size."
        )
