"""The ranks of true values among posterior draws, one data set after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from pavi.core import HierarchicalModel
from pavi.core.batch import Links
from pavi.data import PlateData
from pavi.data.simulated import Cardinality


@runtime_checkable
class Sampler(Protocol):
    """What has a posterior's `sample`."""

    def sample(self, *sites: str, draws: int = ..., seed: int = ...) -> Any:
        """Joint draws, see `pavi.Posterior.sample`."""


Inference = Callable[[PlateData], Sampler]


def simulated_ranks(
    model: HierarchicalModel,
    infer: Inference,
    cardinalities: Mapping[str, Cardinality],
    *,
    numbers: Sequence[int],
    draws: int,
    seed: int,
    covariates: Mapping[str, Tensor] | None = None,
    links: Links | None = None,
    progress: bool = False,
) -> dict[str, list[Tensor]]:
    """How many posterior draws lie below the value that a data set was simulated with.

    Simulation `k` and its posterior are a function of (seed, k) alone.

    Args:
        model: The template.
        infer: The posterior of a data set.
        cardinalities: Per plate its number of rows, or the smallest and the largest one.
        numbers: The numbers of the simulations.
        draws: Posterior draws of every simulation.
        seed: Of everything that is drawn.
        covariates: Of every simulation; standard normal where not given.
        links: Of every simulation; at random where not given.
        progress: Whether to show a bar.

    Returns:
        Per latent site and simulation, the ranks from 0 to `draws`, `(*plates, *event)`.
    """
    ranks: dict[str, list[Tensor]] = {site: [] for site in model.latents}
    for number in track(numbers, "calibration", disable=not progress):
        rng = np.random.default_rng([seed, number])
        sizes = {plate: _cardinality(size, rng) for plate, size in cardinalities.items()}
        drawn, noise = (int(n) for n in rng.integers(2**63 - 1, size=2))
        simulation = model.simulate(sizes, seed=drawn, covariates=covariates, links=links)
        data = PlateData.from_arrays(simulation.arrays, model, links=simulation.links)
        values = infer(data).sample(draws=draws, seed=noise)
        for site, true in simulation.latents.items():
            ranks[site].append((values[site] < true).sum(0))
    return ranks


def random_entries(ranks: Sequence[Tensor], *, seed: int, number: int) -> Tensor:
    """One entry of every tensor, chosen at random, `(simulations,)`.

    Entries of one simulation share its other latents and are not independent; entries of
    different simulations are.

    Args:
        ranks: Of one site.
        seed: Of the choice.
        number: Of the site, so that sites choose apart.
    """
    rng = np.random.default_rng([seed, number])
    return torch.stack([rank.flatten()[int(rng.integers(rank.numel()))] for rank in ranks])


def _cardinality(size: Cardinality, rng: np.random.Generator) -> int:
    """Uniform in the logarithm, as in sample amortization."""
    if isinstance(size, int):
        return size
    low, high = size
    return min(high, int(np.exp(rng.uniform(np.log(low), np.log(high + 1)))))
