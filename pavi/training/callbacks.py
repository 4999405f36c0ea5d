"""What a run shows and keeps while it trains."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, final

import pytorch_lightning as pl
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

REFRESH_SECONDS = 0.2
SMOOTHED_STEPS = 50


@final
class FitProgress(pl.Callback):
    r"""One line with the step, the ELBO, the speed and the time left; redrawn five times a second.

    The ELBO of a single step is that of a batch and a few draws, and scatters by more than the fit
    gains in hundreds of steps. What is shown is its exponential average over some `n = 50` steps,

    .. math:: \bar L_t = \sum_{s \le t} w_{t-s} L_s \Big/ \sum_{s \le t} w_{t-s},
        \quad w_i = (1 - 1/n)^i .

    Lightning's own bar reads every logged metric in every step, which costs a good part of the
    step of a small model.
    """

    def __init__(self) -> None:
        self._total: Tensor | float = 0.0
        self._weight = 0.0
        self._drawn = 0.0
        self._first = 0
        self._started = 0.0
        self._bar: Progress | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar, on the first rank."""
        if not trainer.is_global_zero:
            return
        self._bar = Progress(
            TextColumn("fit"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("ELBO, smoothed: {task.fields[elbo]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task("fit", total=trainer.max_steps, elbo="", speed="")
        self._bar.start()
        self._first, self._started = trainer.global_step, time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Add to the average; redraw, if it is time."""
        if self._bar is None:
            return
        # A tensor, which a device need not be waited for.
        keep = 1 - 1 / SMOOTHED_STEPS
        self._total = keep * self._total - outputs["loss"].detach()
        self._weight = keep * self._weight + 1
        now = time.monotonic()
        last = trainer.global_step == trainer.max_steps
        if now - self._drawn < REFRESH_SECONDS and not last:
            return
        self._drawn = now
        step = trainer.global_step
        speed = (step - self._first) / max(now - self._started, 1e-9)
        elbo = f"{float(self._total) / self._weight:,.1f}"
        self._bar.update(self._task, completed=step, elbo=elbo, speed=f"{speed:.0f} steps/s")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that the error stands below it."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@final
@dataclass
class History(pl.Callback):
    """The estimate of the ELBO over a run.

    Args:
        every: Steps between two entries; the last step of a run has one too.
        steps: The step numbers.
        seconds: Since the start of training.
        elbo: In nats, from one batch, the mean over the processes of a run.
    """

    every: int = 10
    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    elbo: list[float] = field(default_factory=list)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock; a resumed run goes on from its last entry."""
        self._started = time.monotonic() - (self.seconds[-1] if self.seconds else 0.0)

    def elapsed(self) -> float:
        """Seconds since the start of training."""
        return time.monotonic() - self._started

    def leave_out(self, seconds: float) -> None:
        """Take time off the clock that was not spent on training."""
        self._started += seconds

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Keep the ELBO of every `every`-th step and of the last."""
        if trainer.global_step % self.every == 0 or trainer.global_step == trainer.max_steps:
            self.steps.append(trainer.global_step)
            self.seconds.append(self.elapsed())
            loss = trainer.strategy.reduce(outputs["loss"].detach().clone(), reduce_op="mean")
            self.elbo.append(-float(loss))

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"steps": self.steps, "seconds": self.seconds, "elbo": self.elbo}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.steps, self.seconds, self.elbo = (
            list(state_dict[key]) for key in ("steps", "seconds", "elbo")
        )
