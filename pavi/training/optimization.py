"""How the parameters of a guide are optimised, as one object."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import final

from torch.optim.lr_scheduler import LambdaLR

from pavi.guides.base import Guide
from pavi.training.clipping import GradientClipping
from pavi.training.row_adam import RowAdam


class Schedule(StrEnum):
    """How the learning rate changes over a run."""

    COSINE = "cosine"
    CONSTANT = "constant"


@final
@dataclass(frozen=True)
class Optimization:
    """Row-wise Adam with a schedule of the learning rate and clipping.

    Args:
        learning_rate: Of the weights of flows and the encodings of sites without plates.
        table_rate: Of the encoding tables; the same if None. Rows of which only some are drawn
            move by up to five times as much, see `RowAdam`.
        network_rate: Of the networks that compute encodings or bend flows; a sixth of it if None.
            A step moves every weight alike, and what a network computes is a sum of dozens of
            terms. (With a third, deep sets on Chem97 lost a level in one fit of twelve.) Half of
            it where a guide is trained over simulated data sets, see `over_data_sets`.
        schedule: `"cosine"`, down towards zero at the last step, or `"constant"`.
        clip_norm: The largest norm of a step's gradient; any if None.
        clip_spikes: How many times the recent norm a step's gradient may have; any if None.

    Raises:
        ValueError: If a rate or the norm is not positive or the schedule unknown.
    """

    learning_rate: float = 0.03
    table_rate: float | None = None
    network_rate: float | None = None
    schedule: str = "cosine"
    clip_norm: float | None = None
    clip_spikes: float | None = 1.2

    def __post_init__(self) -> None:
        numbers = ("learning_rate", "table_rate", "network_rate", "clip_norm", "clip_spikes")
        for name in numbers:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {value}.")
        if self.schedule not in list(Schedule):
            choices = [str(choice) for choice in Schedule]
            raise ValueError(f"schedule must be one of {choices}, got {self.schedule!r}.")

    def over_data_sets(self) -> Optimization:
        """The same for a guide that is trained over simulated data sets.

        There networks have all of the work, and each step's data are new: unless a rate is given,
        they learn at half the learning rate. On Gaussian random effects with 3 to 300 groups that
        halves the gap that 3000 steps leave, and widths follow the amount of data sooner.
        """
        return replace(self, network_rate=self.network_rate or self.learning_rate / 2)

    def optimizer(self, guide: Guide) -> RowAdam:
        """The optimiser of a guide's parameters."""
        tables, networks = guide.tables(), guide.networks()
        apart = {id(parameter) for parameter in (*tables, *networks)}
        weights = [p for p in guide.parameters() if id(p) not in apart]
        rate = self.learning_rate
        return RowAdam(
            [(weights, rate), (networks, self.network_rate or rate / 6)],
            [(tables, self.table_rate or rate)],
        )

    def clipping(self) -> GradientClipping:
        """What clips the gradients of a run."""
        return GradientClipping(spike=self.clip_spikes, max_norm=self.clip_norm)

    def scheduler(self, optimizer: RowAdam, steps: int, *, tables_from: float = 0.0) -> LambdaLR:
        """The learning rate of every step of a run of `steps`.

        Args:
            optimizer: The optimiser.
            steps: The number of steps of the run.
            tables_from: The part of the run that passes before the tables move.
        """

        def weights(step: int) -> float:
            if self.schedule == Schedule.CONSTANT:
                return 1.0
            return 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))

        def tables(step: int) -> float:
            return weights(step) if step >= tables_from * steps else 0.0

        factors: list[Callable[[int], float]] = [
            tables if group["rows"] else weights for group in optimizer.param_groups
        ]
        return LambdaLR(optimizer, factors)
