"""Simulated data sets for Lightning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import final

import pytorch_lightning as pl
import torch

from pavi.core import HierarchicalModel, PlateBatch
from pavi.data.simulated import Cardinality, SimulatedBatches


@final
class SimulatedDataModule(pl.LightningDataModule):
    """Draws data sets from the prior predictive, other ones on every rank.

    Args:
        model: The template, not lifted.
        cardinalities: Per plate its number of rows, or the smallest and the largest one.
        datasets: How many data sets a batch holds.
        seed: Of everything that is drawn.
        dtype: The floating-point type.

    Raises:
        ValueError: If a cardinality is missing or not positive, or the prior predictive has
            draws that are not finite.
    """

    def __init__(
        self,
        model: HierarchicalModel,
        cardinalities: Mapping[str, Cardinality],
        *,
        datasets: int = 32,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self._batches = partial(
            SimulatedBatches, model, cardinalities, datasets=datasets, seed=seed, dtype=dtype
        )
        self.model = self._batches().model

    def reference(self) -> PlateBatch:
        """A batch that shows where the data lie."""
        return self._batches()[0]

    def train_dataloader(self) -> Iterable[PlateBatch]:
        """The stream for this rank, from the trainer's current step on."""
        trainer = self.trainer
        assert trainer is not None
        start = trainer.global_step * trainer.accumulate_grad_batches
        return self._batches(rank=trainer.global_rank, start=start)
