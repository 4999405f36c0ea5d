"""Draws of a guide stage by stage, and their log weights; `pavi.diagnostics.weights` says why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from pavi.core import PlateBatch
from pavi.core.alignment import Alignment
from pavi.core.distributions import unvalidated
from pavi.diagnostics.stages import Frame, Stage
from pavi.guides.base import Draws, Guide


def tiled(drawn: Draws, count: int) -> Draws:
    """All draws, `count` times one after the other."""

    def repeat(values: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: v.repeat(count, *(1 for _ in v.shape[1:])) for k, v in values.items()}

    return Draws(
        repeat(drawn.values), repeat(drawn.log_p), repeat(drawn.log_q), repeat(drawn.features)
    )


@final
class Walk:
    """Draws stages of a guide, each with noise of its own, and weighs them.

    Parts of a log weight are in float64, `(draws, *rows of the unit of the stage)`.

    Args:
        guide: The guide, with its model.
        rng: Seeds the noise of every draw.
    """

    def __init__(self, guide: Guide, rng: np.random.Generator) -> None:
        self._guide, self._model, self._rng = guide, guide.model, rng

    def draw(
        self,
        stage: Stage,
        batch: PlateBatch,
        above: Draws,
        draws: int,
        *,
        antithetic: bool = False,
    ) -> Draws:
        """The stages above, as they are given, with this one drawn below them."""
        if not stage.sites:
            return above
        # A guide starts its noise from the seed of the batch: the same one would give a stage
        # the noise of the one above it.
        return self._guide(
            replace(batch, seed=int(self._rng.integers(2**63 - 1))),
            draws=draws,
            antithetic=antithetic,
            given=above if above.values else None,
            sites=[*above.values, *stage.sites],
        )

    @torch.no_grad()
    def down(self, stages: Sequence[Stage], batch: PlateBatch, above: Draws, draws: int) -> Draws:
        """The stages above with others drawn below them, one after the other."""
        for stage in stages:
            above = self.draw(stage, batch, above, draws)
        return above

    @torch.no_grad()
    def normalised(
        self, stage: Stage, batch: PlateBatch, above: Draws, count: int, inner: int
    ) -> Tensor:
        """Log ratios of a stage, `(count, draws above, *rows)`, of mean weight one."""
        ratios = self.ratios(stage, batch, above, count, inner).unflatten(0, (count, -1))
        return ratios - ratios.logsumexp(0) + math.log(count)

    def latent_part(self, stage: Stage, drawn: Draws, batch: PlateBatch) -> Tensor:
        """Prior over guide, of the latent sites of a stage."""
        parts = {site: drawn.log_p[site] - drawn.log_q[site] for site in stage.sites}
        return self._sum(stage, parts, batch, draws=_count(drawn))

    def data_part(
        self, stage: Stage, drawn: Draws, batch: PlateBatch, sites: Sequence[str]
    ) -> Tensor:
        """The density of the data of some sites."""
        draws = _count(drawn)
        with unvalidated():
            parts = {
                site: self._model.log_factor(site, drawn.values, batch, draws=draws)
                for site in sites
            }
        return self._sum(stage, parts, batch, draws=draws)

    def ratios(
        self,
        stage: Stage,
        batch: PlateBatch,
        above: Draws,
        count: int,
        inner: int,
        *,
        antithetic: bool = False,
    ) -> Tensor:
        """Log ratios of a stage, `count` for each draw above, with all below integrated."""
        given = tiled(above, count)
        drawn = self.draw(stage, batch, given, _count(given), antithetic=antithetic)
        total = self.latent_part(stage, drawn, batch)
        total = total + self.data_part(stage, drawn, batch, stage.observed)
        for child in stage.children:
            found, _ = self.integral(child, batch, drawn, inner)
            total = total + self._sum_over(found, child.unit, stage.unit, batch)
        return total

    def integral(
        self, stage: Stage, batch: PlateBatch, above: Draws, inner: int
    ) -> tuple[Tensor, Tensor]:
        """The log of `Z` per row for each draw above, and the variance of its error."""
        ratios = self.ratios(stage, batch, above, inner, inner, antithetic=True)
        return pair_means(ratios.unflatten(0, (inner, -1)))

    def _sum(
        self, stage: Stage, parts: Mapping[str, Tensor], batch: PlateBatch, *, draws: int
    ) -> Tensor:
        total = torch.zeros(draws, *batch.shape(stage.unit), dtype=torch.float64)
        for site, part in parts.items():
            plates = tuple(self._model.sites[site].plates)
            full = part.double().expand(draws, *batch.shape(plates))
            total = total + self._sum_over(full, plates, stage.unit, batch)
        return total

    def _sum_over(self, value: Tensor, fine: Frame, coarse: Frame, batch: PlateBatch) -> Tensor:
        if fine == coarse:
            return value
        graph = self._model.plates
        align = Alignment.between(graph, coarse, fine, source_rank=0, target_rank=0)
        return align.transposed(value, batch)


def _count(drawn: Draws) -> int:
    return len(next(iter(drawn.values.values())))


def pair_means(log_ratios: Tensor) -> tuple[Tensor, Tensor]:
    """The log of the mean over antithetic draws, and the variance of the error of that log.

    Args:
        log_ratios: `(draws, ...)`; the second half mirrors the first.
    """
    one, other = log_ratios.chunk(2)
    pairs = torch.logaddexp(one, other) - math.log(2)
    mean = pairs.logsumexp(0) - math.log(len(pairs))
    return mean, (pairs - mean).exp().var(0) / len(pairs)
