"""The ranks of true values among posterior draws, one data set after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

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


@runtime_checkable
class Resampler(Sampler, Protocol):
    """What has a posterior's `resample` as well."""

    def resample(
        self, *sites: str, draws: int = ..., proposals: int = ..., seed: int = ...
    ) -> Any:
        """Importance-resampled joint draws, see `pavi.Posterior.resample`."""


Inference = Callable[[PlateData], Sampler]


@final
@dataclass(frozen=True)
class SimulatedRanks:
    """Ranks of the values that data sets were simulated with.

    Args:
        sites: Per latent site and simulation, the ranks from 0 to `draws`, `(*plates, *event)`.
        khat: Of the importance weights of every simulation, `(simulations,)`; None if draws are
            the guide's own.
    """

    sites: Mapping[str, Sequence[Tensor]]
    khat: Tensor | None


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
    proposals: int | None = None,
    progress: bool = False,
) -> SimulatedRanks:
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
        proposals: How many draws of the guide the draws are picked from by their importance
            weights; None takes the guide's own.
        progress: Whether to show a bar.

    Raises:
        ValueError: If there are proposals and what `infer` returns cannot resample.
    """
    khats: list[float] = []
    ranks: dict[str, list[Tensor]] = {site: [] for site in model.latents}
    for number in track(numbers, "calibration", disable=not progress):
        rng = np.random.default_rng([seed, number])
        sizes = {plate: _cardinality(size, rng) for plate, size in cardinalities.items()}
        drawn, noise = (int(n) for n in rng.integers(2**63 - 1, size=2))
        simulation = model.simulate(sizes, seed=drawn, covariates=covariates, links=links)
        data = PlateData.from_arrays(simulation.arrays, model, links=simulation.links)
        posterior = infer(data)
        if proposals is None:
            values = posterior.sample(draws=draws, seed=noise)
        elif not isinstance(posterior, Resampler):
            raise ValueError(
                "proposals are for posteriors that can resample, such as pavi's; got a "
                f"{type(posterior).__name__}. Leave proposals out."
            )
        else:
            found = posterior.resample(draws=draws, proposals=proposals, seed=noise)
            values = found.values
            khats.append(found.khat)
        for site, true in simulation.latents.items():
            ranks[site].append((values[site] < true).sum(0))
    return SimulatedRanks(ranks, None if proposals is None else torch.tensor(khats))


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
