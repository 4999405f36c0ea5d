"""Data sets drawn from the prior predictive distribution of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.batch import whole
from pavi.core.lifting import lifted

# The plate of data sets in a lifted model.
DATASET = "dataset"
Cardinality = int | tuple[int, int]


@final
class SimulatedBatches(IterableDataset[PlateBatch]):
    """An endless stream of data sets; batch `t` of a rank is a function of (seed, t, rank).

    A batch is all rows of several data sets of one design, for the lifted model; each data set
    weighs one over their number. It carries the true values of the latent sites as well.

    Args:
        model: The template, not lifted.
        cardinalities: Per plate its number of rows, or the smallest and the largest one; a number
            between them is drawn anew for every batch, uniformly in the logarithm.
        datasets: How many data sets a batch holds.
        seed: Of everything that is drawn.
        rank: Of this process.
        start: The number of the first batch.
        dtype: The floating-point type.
    """

    def __init__(
        self,
        model: HierarchicalModel,
        cardinalities: Mapping[str, Cardinality],
        *,
        datasets: int,
        seed: int,
        rank: int = 0,
        start: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        _check(model, cardinalities, datasets)
        self.model = lifted(model, DATASET)
        self._ranges = {
            plate: (size, size) if isinstance(size, int) else size
            for plate, size in cardinalities.items()
        }
        self._datasets, self._seed, self._dtype = datasets, seed, dtype
        self._rank, self._start = rank, start
        first = self[start]
        for name in (*self.model.latents, *self.model.observed):
            if not torch.isfinite(first.values[name]).all():
                raise ValueError(
                    f"a draw of site {name!r} from the prior predictive is not finite, so the "
                    "model cannot be amortized over simulated data; give it a proper prior that "
                    "floating-point numbers can hold."
                )

    def __getitem__(self, step: int) -> PlateBatch:
        """Batch number `step`."""
        rng = np.random.default_rng([self._seed, step, self._rank])
        sizes = {DATASET: self._datasets}
        for plate, (low, high) in self._ranges.items():
            sizes[plate] = min(high, int(np.exp(rng.uniform(np.log(low), np.log(high + 1)))))
        drawn, noise = (int(number) for number in rng.integers(2**63 - 1, size=2))
        simulation = self.model.simulate(sizes, seed=drawn, dtype=self._dtype)
        values: dict[str, Tensor] = {**simulation.arrays, **simulation.latents}
        like = torch.zeros((), dtype=self._dtype)
        batch = whole(sizes, simulation.links, values, like=like, seed=noise)
        weights = dict(batch.weights)
        weights[DATASET] = weights[DATASET] / self._datasets
        return PlateBatch(batch.rows, weights, batch.links, values, seed=noise, like=like)

    def __iter__(self) -> Iterator[PlateBatch]:
        step = self._start
        while True:
            yield self[step]
            step += 1


def _check(
    model: HierarchicalModel, cardinalities: Mapping[str, Cardinality], datasets: int
) -> None:
    model.plates.check_names({plate: 1 for plate in cardinalities})
    if missing := [plate for plate in model.plates if plate not in cardinalities]:
        raise ValueError(
            f"cardinalities lack the plates {missing}; got {dict(cardinalities)}, "
            f"plates are {list(model.plates)}."
        )
    for plate, size in cardinalities.items():
        low, high = (size, size) if isinstance(size, int) else size
        if not 1 <= low <= high:
            raise ValueError(
                f"the cardinality of plate {plate!r} must be a positive number of rows, or the "
                f"smallest and the largest such number, got {size}."
            )
    if datasets < 1:
        raise ValueError(f"datasets must be positive, got {datasets}.")
