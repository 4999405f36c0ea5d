"""The subjects of a rank, and what the ranks of a parcellation tell each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, final

import pytorch_lightning as pl
from torch import Tensor

from experiments.build import told_what_lacks
from experiments.config import TrainerConfig
from pavi.data.shard import strata_edges
from pavi.training import loss_told, strategy_of
from pavi.training.quiet import quiet
from pavi.training.ranks import on_every_rank, sum_over_ranks

Result = TypeVar("Result")


@final
@dataclass(frozen=True)
class Ranks:
    """One of the processes of a run, each with some of the subjects.

    Args:
        rank: Its number.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes what all have found."""
        return self.rank == 0

    def subjects(self, total: int) -> range:
        """Those of this rank among all, the stratum of `pavi.Shard`."""
        edges = strata_edges(total, self.count)
        return range(int(edges[self.rank]), int(edges[self.rank + 1]))

    def sum(self, value: Tensor) -> Tensor:
        """The sum of what every rank has, the same bits on all of them.

        Raises:
            ProcessLostError: If another rank was lost.
        """
        if self.count == 1:
            return value
        with loss_told(_outside, ranks=self.count):
            return sum_over_ranks(value)

    def together(self, action: Callable[[], Result]) -> list[Result]:
        """What every rank finds, on all of them, once all of them have.

        Raises:
            RankError: On every rank, if the action raises on any of several.
            ProcessLostError: If another rank was lost.
        """
        if self.count == 1:
            return [action()]
        with loss_told(_outside, ranks=self.count):
            return on_every_rank(action)

    def each(self, action: Callable[[], Result]) -> Result:
        """What this rank finds, which need not travel, once all of them have done the same.

        Raises:
            RankError: On every rank, if the action raises on any of several.
            ProcessLostError: If another rank was lost.
        """
        found: list[Result] = []
        self.together(lambda: found.append(action()))
        return found[0]


ALONE = Ranks()


def _outside() -> str:
    return "outside of the steps of its fit"


def joined(trainer: TrainerConfig) -> Ranks:
    """Start the processes of a run and bring them together.

    Lightning does both when it fits. The start of a parcellation, which comes before, is shared
    by all ranks too, and so is the posterior of a run whose fit is done, so they are started here,
    and Lightning finds them in place. It makes no difference to this whether the fit is split.

    Args:
        trainer: The devices of the run.

    Raises:
        ValueError: If the machine lacks them.
        ProcessLostError: If one was lost before all had met.
    """
    if trainer.devices * trainer.nodes == 1:
        return ALONE
    with told_what_lacks(trainer), quiet():
        bare = pl.Trainer(
            accelerator=str(trainer.accelerator),
            devices=trainer.devices,
            num_nodes=trainer.nodes,
            strategy=strategy_of(devices=trainer.devices, nodes=trainer.nodes),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    launcher = bare.strategy.launcher
    if launcher is not None:
        with quiet(), loss_told(lambda: "before all had met", ranks=bare.world_size):
            launcher.launch(bare.strategy.setup_environment)
    return Ranks(bare.global_rank, bare.world_size)
