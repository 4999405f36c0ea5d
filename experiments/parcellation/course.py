"""The course of the ELBO on one and the same plate-batch, with the same noise.

The ELBO of a step varies with the rows that were drawn by far more than a fit gains in the time:
a plate-batch of 8 subjects and 256 vertices is a four-hundred-thousandth of the cohort. On a fixed
batch with fixed noise both cancel, and what is left is what the guide has learned.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, final

import pytorch_lightning as pl
import torch

from pavi.core import PlateBatch
from pavi.guides.base import Guide
from pavi.objectives import ReducedELBO


@final
@dataclass
class FixedBatchCourse(pl.Callback):
    """Evaluates a guide on a fixed batch in the course of a fit.

    Args:
        guide: The guide.
        batch: The fixed batch.
        steps_at: The steps after which to evaluate; zero is the start.
        steps: Those done.
        seconds: Of training, without evaluations.
        elbo: In nats, of all data as the batch estimates it.
    """

    guide: Guide
    batch: PlateBatch
    steps_at: frozenset[int]
    draws: int = 16
    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    elbo: list[float] = field(default_factory=list)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock; a resumed run goes on from its last point."""
        self._begin = time.monotonic() - (self.seconds[-1] if self.seconds else 0.0)
        if trainer.global_step == 0:
            self._evaluate(0)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Evaluate where it is time to."""
        if trainer.is_global_zero and trainer.global_step in self.steps_at:
            self._evaluate(trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"steps": self.steps, "seconds": self.seconds, "elbo": self.elbo}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.steps, self.seconds, self.elbo = (
            list(state_dict[key]) for key in ("steps", "seconds", "elbo")
        )

    @torch.no_grad()
    def _evaluate(self, step: int) -> None:
        now = time.monotonic()
        batch = self.batch.to(next(self.guide.parameters()).device)
        terms = ReducedELBO(draws=self.draws, gradient="reparam")(self.guide, batch)
        self.steps.append(step)
        self.seconds.append(now - self._begin)
        self.elbo.append(-float(terms.loss))
        self._begin += time.monotonic() - now
