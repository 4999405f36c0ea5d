"""Latents of unseen rows and replicated data, drawn from the model parents first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import final

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.distributions import unvalidated
from pavi.data import PlateData
from pavi.data.chunks import Chunks
from pavi.guides.base import Draws
from pavi.posterior.joint_draws import BUDGET
from pavi.posterior.known import KnownRows


def ancestors(model: HierarchicalModel, sites: Sequence[str]) -> tuple[str, ...]:
    """The sites and all random sites that their distributions depend on, parents first."""
    needed = set(sites)
    for name in reversed(model.sites):
        if name in needed:
            needed |= set(model.sites[name].parents)
    return tuple(n for n in model.sites if n in needed and n not in model.covariates)


@torch.no_grad()
def replicate(
    model: HierarchicalModel,
    sites: Sequence[str],
    values: Mapping[str, Tensor],
    batch: PlateBatch,
    *,
    draws: int,
    seed: int,
) -> dict[str, Tensor]:
    """Draw observed sites given all latent ones; observed parents are drawn too, not read.

    Args:
        model: The template.
        sites: The observed sites.
        values: Of latent sites, `(draws, *plates, *event)`, and of observed sites drawn before.
        batch: The rows.
        draws: The number of draws.
        seed: Of the noise; torch's own state is left alone.

    Returns:
        Per site `(draws, *plates, *event)`.
    """
    found = dict(values)
    with torch.random.fork_rng(devices=[]), unvalidated():
        torch.default_generator.manual_seed(seed)
        for name in ancestors(model, sites):
            if name not in found:
                found[name] = model.conditional(name, found, batch, draws=draws).sample()
    return {site: found[site] for site in sites}


@final
class AncestralDraws:
    r"""Joint draws of any sites for any rows, chunk by chunk.

    Known rows of latents come from the guide, all others from their prior given the parents,

    .. math:: p(x', \theta' \mid x) = \int p(x' \mid \theta', \theta)\, p(\theta' \mid \theta)\,
        q(\theta)\, d\theta.

    Sites that chunks share are drawn once, so that the parts together are joint draws.

    Args:
        known: The rows that the guide knows.
        data: The data to draw for, of which covariates alone are read.
        sites: Latent and observed sites.
        draws: The number of joint draws.
        seed: Of the noise.
        budget: How many numbers a chunk may hold.
    """

    def __init__(
        self,
        known: KnownRows,
        data: PlateData,
        sites: Sequence[str],
        *,
        draws: int,
        seed: int,
        budget: int = BUDGET,
    ) -> None:
        self._known, self._data, self._sites = known, data, sites
        self._draws, self._seed = draws, seed
        self.chunks = Chunks(data, draws=draws, budget=budget)

    def parts(
        self, *, shared: Sequence[str] = (), progress: bool = False
    ) -> Iterator[dict[str, Tensor]]:
        """The values of the sites, `(draws, *plates, *event)`, one chunk after the other.

        Args:
            shared: The latent sites that all chunks share and the guide can draw.
            progress: Whether to show a bar.
        """
        model, chunks = self._data.model, self.chunks
        needed = ancestors(model, self._sites)
        once = [name for name in needed if chunks.shared(name)]
        rest = [name for name in needed if name not in once]
        nothing = {plate: np.empty(0, dtype=np.int64) for plate in chunks.split}
        fixed = self._known.draw(shared, nothing, seed=self._seed)
        whole = self._data.batch(sites=self._data.covariates)
        common = self._walk(once, {}, fixed, {}, whole, number=0)
        batches = chunks.batches(seed=self._seed, observed=False)
        both = enumerate(zip(chunks.rows(), batches, strict=True), start=1)
        for number, (rows, batch) in track(
            both, "prediction", total=len(chunks), disable=not progress
        ):
            latents = [name for name in rest if name in model.latents]
            drawn = self._known.draw(latents, rows, seed=batch.seed, given=fixed)
            values = self._walk(rest, common, drawn, rows, batch, number=number)
            yield {site: values[site] for site in self._sites}

    @torch.no_grad()
    def _walk(
        self,
        names: Sequence[str],
        before: Mapping[str, Tensor],
        drawn: Draws,
        rows: Mapping[str, np.ndarray],
        batch: PlateBatch,
        *,
        number: int,
    ) -> dict[str, Tensor]:
        """The values drawn before and those of the named sites."""
        model, values = self._data.model, dict(before)
        seed = int(np.random.default_rng([self._seed, number, 1]).integers(2**63 - 1))
        with torch.random.fork_rng(devices=[]), unvalidated():
            torch.default_generator.manual_seed(seed)
            for name in names:
                latent = name in model.latents
                sampled = None
                if not (latent and self._known.every(name)):
                    prior = model.conditional(name, values, batch, draws=self._draws)
                    sampled = prior.sample()
                if latent and self._known.some(name):
                    values[name] = self._known.placed(name, drawn, rows, sampled)
                else:
                    assert sampled is not None
                    values[name] = sampled
        return values
