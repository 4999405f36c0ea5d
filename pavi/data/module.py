"""Plate-batches for Lightning."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import count
from typing import final

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import IterableDataset

from pavi.core import PlateBatch
from pavi.data.default_batch import default_batch
from pavi.data.epochs import Epochs
from pavi.data.plate_data import PlateData
from pavi.data.reader import BackgroundReader
from pavi.data.sampler import PlateSampler
from pavi.data.shard import Shard
from pavi.data.stratified import StratifiedSampler

# Batches that are kept ready where values lie in a store: enough for a read that is slower than
# the others.
AHEAD = 4


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
        shard: The rows that this process draws from; all of the data by default.
        epochs: Whether a row of a drawn plate comes again only after the others have; batches are
            independent if not. See `pavi.data.epochs`.
        ahead: How many batches a thread keeps ready, none if 0; by default 4 if values lie in a
            store. The batches and their order do not depend on it.

    Raises:
        ValueError: As `PlateSampler`, or if `ahead` is negative.
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
        ahead: int | None = None,
        shard: Shard | None = None,
        epochs: bool = True,
    ) -> None:
        self._seed, self._rank, self._start = seed, rank, start
        self._epochs = Epochs([seed, rank]) if epochs else None
        self._data = data if shard is None else shard.data
        self._ahead = (AHEAD if data.stores else 0) if ahead is None else ahead
        if self._ahead < 0:
            raise ValueError(f"ahead must be at least 0, got {ahead}.")
        self._waited = 0.0
        self._readers: weakref.WeakSet[BackgroundReader] = weakref.WeakSet()
        self._sampler: PlateSampler | StratifiedSampler = (
            PlateSampler(data, batch, blocks=blocks)
            if shard is None
            else StratifiedSampler(data, batch, shard, blocks=blocks)
        )
        self._everything: PlateBatch | None = None

    def __getitem__(self, step: int) -> PlateBatch:
        """Batch number `step`."""
        rng = np.random.default_rng([self._seed, step, self._rank])
        rows, weights = self._sampler.draw(rng, self._epochs and self._epochs.at(step))
        noise = int(rng.integers(2**63 - 1))
        if rows or self._data.stores or not weights:
            return self._data.batch(rows, weights=weights, seed=noise)
        if self._everything is None:
            # Links sorted by parent are kept with the batch, and so from step to step.
            self._everything = self._data.batch(weights=weights)
        return replace(self._everything, seed=noise)

    def __iter__(self) -> Iterator[PlateBatch]:
        batches: Iterator[PlateBatch] = (self[step] for step in count(self._start))
        if self._ahead:
            batches = BackgroundReader(self.__getitem__, start=self._start, ahead=self._ahead)
            self._readers.add(batches)
        while True:
            before = time.perf_counter()
            batch = next(batches, None)
            self._waited += time.perf_counter() - before
            if batch is None:
                return
            yield batch

    @property
    def waited(self) -> float:
        """The seconds that those who iterate have waited for batches."""
        return self._waited

    def close(self) -> None:
        """End the threads that read ahead; who iterates gets no more batches."""
        for reader in tuple(self._readers):
            reader.close()


@final
class PlateDataModule(pl.LightningDataModule):
    """Draws plate-batches, other ones on every rank, from where a resumed run stopped.

    Args:
        data: The data.
        batch: Per plate, the rows to draw in a step, see `PlateSampler`; everything by default.
        blocks: Per plate, the length of the runs that its rows come in, see `PlateSampler`.
        seed: Of the rows that are drawn and of the noise of the step.
        ahead: How many batches to keep ready, see `PlateBatches`.
        shard: The rows that this rank owns and draws from; all of the data by default.

    Raises:
        ValueError: As `PlateBatches`, or if some rank has fewer rows than it should draw.
    """

    def __init__(
        self,
        data: PlateData,
        *,
        batch: Mapping[str, int] | None = None,
        blocks: Mapping[str, int] | None = None,
        seed: int = 0,
        ahead: int | None = None,
        shard: Shard | None = None,
    ) -> None:
        super().__init__()
        self.data, self._batch, self._blocks = data, dict(batch or {}), dict(blocks or {})
        self._seed, self.shard = seed, shard
        self._batches = partial(
            PlateBatches,
            data,
            batch=self._batch,
            blocks=self._blocks,
            seed=seed,
            ahead=ahead,
            shard=shard,
        )
        self._stream = self._batches()

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
        self._stream.close()
        start = trainer.global_step * trainer.accumulate_grad_batches
        self._stream = self._batches(rank=trainer.global_rank, start=start)
        return self._stream

    @property
    def waited(self) -> float:
        """The seconds that the steps of this run have waited for their batches."""
        return self._stream.waited

    def teardown(self, stage: str) -> None:
        """End the threads that read ahead."""
        self._stream.close()

    def on_exception(self, exception: BaseException) -> None:
        """End the threads that read ahead."""
        self._stream.close()
