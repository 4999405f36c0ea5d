"""Joint draws of all latent sites, a part of the rows at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from rich.progress import track

from pavi.core import PlateBatch
from pavi.data import PlateData
from pavi.data.chunks import Chunks
from pavi.guides.base import Draws, Guide
from pavi.metrics.log_ratio import draw_fixed

BUDGET = 2**24


@final
@dataclass(frozen=True)
class Part:
    """The draws of one chunk.

    Args:
        rows: The row numbers of the plates that are split; none where one chunk holds all.
        batch: The rows as a batch.
        draws: Of latent sites, those that chunks share among them.
    """

    rows: Mapping[str, np.ndarray]
    batch: PlateBatch
    draws: Draws


@final
class JointDraws:
    """Draws of a guide, plate chunk by plate chunk.

    Sites that chunks share are drawn once and handed to every chunk, so that the parts together
    are joint draws. The same seed and budget give the draws of `pavi.metrics.log_ratio`.

    Args:
        guide: The guide.
        data: The data.
        draws: The number of joint draws.
        seed: Of the noise.
        budget: How many numbers a chunk may hold; a guide that draws all at once has one chunk.
        observed: Whether batches hold observed values.
    """

    def __init__(
        self,
        guide: Guide,
        data: PlateData,
        *,
        draws: int,
        seed: int,
        budget: int = BUDGET,
        observed: bool = False,
    ) -> None:
        self._guide, self._data = guide, data
        self._draws, self._seed, self._observed = draws, seed, observed
        self.chunks = Chunks(data, draws=draws, budget=sys.maxsize if guide.whole else budget)

    def parts(
        self, sites: Sequence[str] | None = None, *, progress: bool = False
    ) -> Iterator[Part]:
        """The chunks in their order.

        Args:
            sites: The sites to draw, with those they depend on; all latent sites by default.
            progress: Whether to show a bar.
        """
        chunks = self.chunks
        with torch.no_grad():
            fixed = draw_fixed(self._guide, self._data, chunks, draws=self._draws, seed=self._seed)
        batches = chunks.batches(seed=self._seed, observed=self._observed)
        both = track(
            zip(chunks.rows(), batches, strict=True),
            "posterior",
            total=len(chunks),
            disable=not progress,
        )
        for rows, batch in both:
            with torch.no_grad():
                drawn = self._guide(batch, draws=self._draws, given=fixed, sites=sites)
            yield Part(rows, batch, drawn)
