"""The gap of Gaussian random effects in the course of a run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import pytorch_lightning as pl
from jaxtyping import Int

from experiments.gre_gap import gre_gap
from pavi.data import PlateData
from pavi.guides import Guide
from pavi.models.gaussian_random_effects import GREPosterior
from pavi.training import History


def course_steps(points: int, steps: int) -> Int[np.ndarray, " _"]:
    """At most `points` steps of a run from the tenth to the last, evenly spaced on a log scale."""
    first = min(10, steps)
    return np.unique(np.geomspace(first, steps, points).round().astype(int))


@final
@dataclass
class GapCourse(pl.Callback):
    """Measures the gap on all data at some steps, outside of the clock of the run.

    Args:
        guide: The guide that is trained.
        data: All data, of Gaussian random effects.
        exact: The posterior of these data.
        history: The clock of the run, which stands still meanwhile.
        points: How many steps to measure at.
        steps: The steps so far.
        seconds: Of training until these.
        gaps: In nats.
    """

    guide: Guide
    data: PlateData
    exact: GREPosterior
    history: History
    points: int
    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the steps."""
        self._due = frozenset(course_steps(self.points, trainer.max_steps).tolist())

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Measure, if it is time."""
        if trainer.global_step not in self._due:
            return
        elapsed, began = self.history.elapsed(), time.monotonic()
        gap = gre_gap(self.guide, self.data, self.exact)
        self.steps.append(trainer.global_step)
        self.seconds.append(elapsed)
        self.gaps.append(gap)
        if trainer.is_global_zero:
            # By hand: `pl_module.log` would wait for the next step that Lightning logs. Its steps
            # are counted from zero.
            for logger in trainer.loggers:
                logger.log_metrics({"val/gap": gap}, step=trainer.global_step - 1)
        self.history.leave_out(time.monotonic() - began)

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"steps": self.steps, "seconds": self.seconds, "gaps": self.gaps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.steps, self.seconds, self.gaps = (
            list(state_dict[key]) for key in ("steps", "seconds", "gaps")
        )
