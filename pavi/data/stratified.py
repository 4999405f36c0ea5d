"""Drawing the rows of a rank's plate-batch from its own stratum, see `pavi.data.shard`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np

from pavi.data.default_batch import default_batch
from pavi.data.epochs import Choice
from pavi.data.plate_data import PlateData
from pavi.data.sampler import PlateSampler, Rows
from pavi.data.shard import Shard


@final
class StratifiedSampler:
    """Draws rows of the shard of a rank, weighted for the mean over ranks.

    Args:
        data: The whole data.
        sizes: Per named plate, the number of rows that each rank draws, see `PlateSampler`.
        shard: The rows of this rank.
        blocks: Per named plate, the length of the runs that its rows come in.

    Raises:
        ValueError: As `PlateSampler`, or if some rank has fewer rows than it should draw.
    """

    def __init__(
        self,
        data: PlateData,
        sizes: Mapping[str, int],
        shard: Shard,
        *,
        blocks: Mapping[str, int] | None = None,
    ) -> None:
        PlateSampler(data, sizes, blocks=blocks)
        units = [p for p in sizes if not data.model.plates.ancestors(p) & set(sizes)]
        for plate in units:
            least = min(shard.strata.get(plate, (data.cardinalities[plate],)))
            if sizes[plate] > least:
                raise ValueError(
                    f"batch size of plate {plate!r}: each of {shard.ranks} ranks draws "
                    f"{sizes[plate]} of its own rows, and the smallest rank has {least}; use "
                    f"fewer devices, or draw at most {least} rows of {plate!r}."
                )
        self._shard = shard
        self._sampler = _sampler_of(shard.data, sizes, blocks)
        self._reached = self._mean_reached(data, sizes)

    def draw(self, rng: np.random.Generator, choice: Choice | None = None) -> tuple[Rows, Rows]:
        """As `PlateSampler.draw`, in the shard's own row numbers; weights of all split plates."""
        rows, weights = self._sampler.draw(rng, choice)
        for plate, own in self._shard.rows.items():
            ones = np.ones(len(own))
            weights[plate] = self._shard.ranks * weights.get(plate, ones)
        for plate, probabilities in self._reached.items():
            weights[plate] = 1.0 / probabilities[rows[plate]]
        return rows, weights

    def _mean_reached(self, data: PlateData, sizes: Mapping[str, int]) -> Rows:
        """Inclusion probabilities on a rank drawn at random, of rows that every rank has."""
        own, shard = self._sampler.reached, self._shard
        wanted = [plate for plate in own if plate not in shard.rows]
        if not wanted:
            return {}
        found = {plate: np.zeros(data.cardinalities[plate]) for plate in wanted}
        for rank in range(shard.ranks):
            other = Shard.of(_without_values(data), shard.plate, rank=rank, ranks=shard.ranks)
            reached = _sampler_of(other.data, sizes).reached
            for plate in wanted:
                found[plate] += reached[plate] / shard.ranks
        return found


def _sampler_of(
    part: PlateData, sizes: Mapping[str, int], blocks: Mapping[str, int] | None = None
) -> PlateSampler:
    """The sampler of a part, in which a group may have all rows of its plate that are left."""
    sizes = {plate: min(size, part.cardinalities[plate]) for plate, size in sizes.items()}
    return PlateSampler(part, sizes, blocks=blocks)


def _without_values(data: PlateData) -> PlateData:
    return replace(data, values={}, present={}, stores={})


def default_shard_batch(data: PlateData, shard: Shard) -> dict[str, int]:
    """How many rows each rank draws when the user does not say: as many on every rank."""
    first = Shard.of(_without_values(data), shard.plate, rank=0, ranks=shard.ranks)
    sizes = default_batch(first.data)
    return {p: min(size, *shard.strata.get(p, (size,))) for p, size in sizes.items()}
