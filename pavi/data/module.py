"""Plate-batches for Lightning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import final

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import IterableDataset

from pavi.core import PlateBatch
from pavi.data.default_batch import default_batch
from pavi.data.plate_data import PlateData
from pavi.data.sampler import PlateSampler


@final
class PlateBatches(IterableDataset[PlateBatch]):
    """An endless stream of plate-batches; batch `t` of a rank is a function of (seed, t, rank).

    That makes a resumed run exact, and the rows and the noise of two ranks differ.

    Args:
        data: The data.
        batch: Rows to draw per plate, see `PlateSampler`; everything if empty.
        blocks: Per plate, the length of the runs that its rows come in, see `PlateSampler`.
        seed: Of rows and noise.
        rank: Of this process.
        start: The number of the first batch.
    """

    def __init__(
        self,
        data: PlateData,
        *,
        batch: Mapping[str, int],
        blocks: Mapping[str, int] | None = None,
        seed: int,
        rank: int = 0,
        start: int = 0,
    ) -> None:
        self._data, self._seed, self._rank, self._start = data, seed, rank, start
        self._sampler = PlateSampler(data, batch, blocks=blocks)

    def __getitem__(self, step: int) -> PlateBatch:
        """Batch number `step`."""
        rng = np.random.default_rng([self._seed, step, self._rank])
        rows, weights = self._sampler.draw(rng)
        noise = int(rng.integers(2**63 - 1))
        return self._data.batch(rows, weights=weights, seed=noise)

    def __iter__(self) -> Iterator[PlateBatch]:
        step = self._start
        while True:
            yield self[step]
            step += 1


@final
class PlateDataModule(pl.LightningDataModule):
    """Draws plate-batches, other ones on every rank, from where a resumed run stopped.

    Args:
        data: The data.
        batch: Per plate, the rows to draw in a step, see `PlateSampler`; everything by default.
        blocks: Per plate, the length of the runs that its rows come in, see `PlateSampler`.
        seed: Of the rows that are drawn and of the noise of the step.

    Raises:
        ValueError: As `PlateSampler`.
    """

    def __init__(
        self,
        data: PlateData,
        *,
        batch: Mapping[str, int] | None = None,
        blocks: Mapping[str, int] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.data, self._seed = data, seed
        self._batch, self._blocks = dict(batch or {}), dict(blocks or {})
        PlateSampler(data, self._batch, blocks=self._blocks)

    def reference(self) -> PlateBatch:
        """A batch that shows where the data lie: all of them while small, otherwise a sample.

        The sample is some rows of one plate. Where values lie in a store, few of these fit a
        batch, and a batch as the run draws it, from several plates, shows more.
        """
        batch, blocks = default_batch(self.data), dict[str, int]()
        if batch and self._batch and self.data.stores:
            batch, blocks = self._batch, self._blocks
        return PlateBatches(self.data, batch=batch, blocks=blocks, seed=self._seed)[0]

    def train_dataloader(self) -> Iterable[PlateBatch]:
        """The stream for this rank, from the trainer's current step on."""
        trainer = self.trainer
        assert trainer is not None
        return PlateBatches(
            self.data,
            batch=self._batch,
            blocks=self._blocks,
            seed=self._seed,
            rank=trainer.global_rank,
            start=trainer.global_step * trainer.accumulate_grad_batches,
        )
