"""Plate-batches for Lightning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import final

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import IterableDataset

from pavi.core import PlateBatch
from pavi.data.default_batch import default_batch
from pavi.data.plate_data import PlateData
from pavi.data.sampler import PlateSampler
from pavi.data.shard import Shard
from pavi.data.stratified import StratifiedSampler


@final
class PlateBatches(IterableDataset[PlateBatch]):
    """An endless stream of plate-batches; batch `t` of a rank is a function of (seed, t, rank).

    That makes a resumed run exact, and the rows and the noise of two ranks differ.

    Args:
        data: The data.
        batch: Rows to draw per plate, see `PlateSampler`; everything if empty.
        seed: Of rows and noise.
        rank: Of this process.
        start: The number of the first batch.
        shard: The rows that this process draws from; all of the data by default.
    """

    def __init__(
        self,
        data: PlateData,
        *,
        batch: Mapping[str, int],
        seed: int,
        rank: int = 0,
        start: int = 0,
        shard: Shard | None = None,
    ) -> None:
        self._seed, self._rank, self._start = seed, rank, start
        self._data = data if shard is None else shard.data
        self._sampler: PlateSampler | StratifiedSampler = (
            PlateSampler(data, batch) if shard is None else StratifiedSampler(data, batch, shard)
        )
        self._everything: PlateBatch | None = None

    def __getitem__(self, step: int) -> PlateBatch:
        """Batch number `step`."""
        rng = np.random.default_rng([self._seed, step, self._rank])
        rows, weights = self._sampler.draw(rng)
        noise = int(rng.integers(2**63 - 1))
        if rows:
            return self._data.batch(rows, weights=weights, seed=noise)
        if self._everything is None:
            # Links sorted by parent are kept with the batch, and so from step to step.
            self._everything = self._data.batch(weights=weights)
        return replace(self._everything, seed=noise)

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
        seed: Of the rows that are drawn and of the noise of the step.
        shard: The rows that this rank owns and draws from; all of the data by default.

    Raises:
        ValueError: As `PlateSampler`, or if some rank has fewer rows than it should draw.
    """

    def __init__(
        self,
        data: PlateData,
        *,
        batch: Mapping[str, int] | None = None,
        seed: int = 0,
        shard: Shard | None = None,
    ) -> None:
        super().__init__()
        self.data, self.shard = data, shard
        self._batch, self._seed = dict(batch or {}), seed
        self._batches(rank=0, start=0)

    def reference(self) -> PlateBatch:
        """A batch that shows where the data lie: all of them while small, otherwise a sample."""
        return PlateBatches(self.data, batch=default_batch(self.data), seed=self._seed)[0]

    def train_dataloader(self) -> Iterable[PlateBatch]:
        """The stream for this rank, from the trainer's current step on."""
        trainer = self.trainer
        assert trainer is not None
        return self._batches(
            rank=trainer.global_rank,
            start=trainer.global_step * trainer.accumulate_grad_batches,
        )

    def _batches(self, *, rank: int, start: int) -> Iterable[PlateBatch]:
        return PlateBatches(
            self.data,
            batch=self._batch,
            seed=self._seed,
            rank=rank,
            start=start,
            shard=self.shard,
        )
