"""All rows of a data set, a part at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from pavi.core import PlateBatch
from pavi.data.plate_data import PlateData


@final
class Chunks:
    """Splits a data set along one plate, so that a chunk fits a budget of numbers.

    The plate is the largest that lies within no other, of equals that of most rows. Everything
    below its rows comes with them; all other plates are in every chunk as a whole, and latent
    sites on these (`fixed`) must be drawn once and handed to every chunk.

    Args:
        data: The data.
        draws: The number of joint draws that will be held for a chunk.
        budget: How many numbers a chunk may hold, over all draws and sites.
        plate: Another plate to split along, which lies within no other.

    Attributes:
        fixed: The latent sites that every chunk shares.
    """

    def __init__(
        self, data: PlateData, *, draws: int, budget: int = 2**24, plate: str | None = None
    ) -> None:
        graph = data.model.plates
        self._data = data
        sizes = data.numbers()
        self.plate = plate or max(
            sizes, key=lambda plate: (sizes[plate], data.cardinalities[plate]), default=None
        )
        split = set() if self.plate is None else {self.plate, *graph.descendants(self.plate)}
        self._below = [p for p in graph if p in split and p != self.plate]
        self._split = split
        sites = data.model.sites
        self.fixed = tuple(n for n in data.model.latents if not split & set(sites[n].plates))
        numbers = draws * sizes[self.plate] if self.plate is not None else 0
        rows = 1 if self.plate is None else data.cardinalities[self.plate]
        self._count = min(rows, max(1, math.ceil(numbers / budget)))

    def __len__(self) -> int:
        return self._count

    def rows(self) -> Iterator[dict[str, np.ndarray]]:
        """The row numbers of the split plates, chunk by chunk; none where one chunk holds all."""
        if self._count == 1 or self.plate is None:
            yield {}
            return
        for part in np.array_split(np.arange(self._data.cardinalities[self.plate]), self._count):
            rows = {self.plate: part}
            for plate in self._below:
                parent = next(p for p in self._data.model.plates[plate].within if p in rows)
                rows[plate] = np.sort(self._data.children(plate, parent).rows(rows[parent]))
            yield rows

    def batches(self, *, seed: int, observed: bool = True) -> Iterator[PlateBatch]:
        """The batches of all chunks, each with noise of its own.

        Args:
            seed: Of the noise.
            observed: Whether observed values come along; covariates that are there always do.
        """
        sites = None if observed else self._data.covariates
        for number, rows in enumerate(self.rows()):
            noise = int(np.random.default_rng([seed, 1 + number]).integers(2**63 - 1))
            yield self._data.batch(rows, sites=sites, seed=noise)

    @property
    def split(self) -> frozenset[str]:
        """The plates of which a chunk holds some rows only."""
        return frozenset(self._split)

    def join(self, site: str, parts: Sequence[Tensor], *, lead: int = 0) -> Tensor:
        """Put the values of a site, chunk by chunk, together in the order of the data's rows.

        Args:
            site: The site.
            parts: Per chunk, `(*lead axes, *plates, ...)`; of a shared site the first one counts.
            lead: The number of axes before those of the plates.
        """
        return self.join_on(self._data.model.sites[site].plates, parts, lead=lead)

    def join_on(self, plates: Sequence[str], parts: Sequence[Tensor], *, lead: int = 0) -> Tensor:
        """Put values on some plates together, as `join` does those of a site."""
        axis = next((axis for axis, plate in enumerate(plates) if plate in self._split), None)
        if axis is None or len(parts) == 1:
            return parts[0]
        joined = torch.cat(list(parts), dim=lead + axis)
        rows = np.concatenate([chunk[plates[axis]] for chunk in self.rows()])
        if (np.diff(rows) > 0).all():
            return joined
        return joined.index_select(lead + axis, torch.as_tensor(np.argsort(rows)))

    def shared(self, site: str) -> bool:
        """Whether every chunk holds all of a site."""
        return self.shared_on(self._data.model.sites[site].plates)

    def shared_on(self, plates: Sequence[str]) -> bool:
        """Whether every chunk holds all rows of some plates."""
        return not self._split & set(plates)
