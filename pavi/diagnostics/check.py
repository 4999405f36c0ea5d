"""All checks of a fitted guide that need its own draws only."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from numbers import Integral

import torch
from rich.progress import track

from pavi.data import PlateData
from pavi.data.chunks import Chunks
from pavi.diagnostics.blame import sites_to_blame
from pavi.diagnostics.course import course
from pavi.diagnostics.diagnosis import DRAWS, Diagnosis
from pavi.diagnostics.stages import Stage, first_stage
from pavi.diagnostics.tails import GlobalTail, LevelTails
from pavi.diagnostics.weights import global_weights, row_weights
from pavi.guides.base import Guide
from pavi.metrics import full_elbo, pareto_khat

# Draws of all above a row, each with weights of its own; an odd number, for a median.
CONTEXTS = 5
LEAST_DRAWS = 200
INNER = 4
# How many numbers a core draws and reads in five seconds or so, on Chem97.
WORK = 2.5e8
# How many draws of the globals are integrated at a time.
BLOCK = 250


def check(
    guide: Guide,
    data: PlateData,
    *,
    history: Mapping[str, Sequence[float | int]] | None = None,
    draws: int = DRAWS,
    inner: int = INNER,
    elbo_draws: int = 128,
    seed: int = 0,
    budget: int = 2**24,
    progress: bool = False,
) -> Diagnosis:
    """Judge a guide by its own draws: its ELBO, its course, and the tails of its weights.

    The work is that of `draws * inner**levels` draws on all data, for levels of latent rows
    below the globals; data are read part by part.

    Args:
        guide: The guide, with its model.
        data: All data.
        history: The course of the ELBO: lists `steps` and `elbo`.
        draws: Of the globals, and of each row, for the k-hats: a multiple of five, 200 or more.
        inner: For each of these, draws of a level below, to integrate it: even, four or more.
        elbo_draws: For the ELBO.
        seed: Of all draws.
        budget: How many numbers a part of the data may hold.
        progress: Whether to show bars.

    Raises:
        ValueError: If observed values are not there, or a number does not fit.
    """
    _check(guide, data, draws=draws, inner=inner, elbo_draws=elbo_draws)
    root = first_stage(guide, data)
    elbo = full_elbo(guide, data, draws=elbo_draws, seed=seed, budget=budget, progress=progress)
    levels = () if guide.whole else tuple(root.paths())[1:]
    options = {"draws": draws, "inner": inner, "seed": seed, "budget": budget}
    return Diagnosis(
        elbo=elbo,
        bound=guide.bound,
        course=course(history or {}, latents=guide.model.num_latents(data.cardinalities)),
        globals=_globals(guide, data, root, progress=progress, **options) if root.sites else None,
        levels=tuple(
            _level(guide, data, path, **options)
            for path in track(levels, "k-hat by row", disable=not progress)
        ),
        labels=data.labels,
        guide=dict(guide.config()),
        draws=draws,
    )


def affordable_draws(guide: Guide, data: PlateData, *, work: float = WORK) -> int | None:
    """For how many draws, `DRAWS` at most, a check takes a few seconds; None if for too few.

    Args:
        guide: The guide, with its model.
        data: All data.
        work: How many numbers may be drawn or read.
    """
    numbers = max(data.numbers().values(), default=1)
    each = numbers * INNER ** (first_stage(guide, data).depth - 1)
    draws = int(min(DRAWS, work / each)) // CONTEXTS * CONTEXTS
    return draws if draws >= LEAST_DRAWS else None


def _globals(
    guide: Guide,
    data: PlateData,
    root: Stage,
    *,
    draws: int,
    inner: int,
    seed: int,
    budget: int,
    progress: bool,
) -> GlobalTail:
    sizes = [min(BLOCK, draws - start) for start in range(0, draws, BLOCK)]
    parts = []
    for block, size in enumerate(track(sizes, "k-hat of the globals", disable=not progress)):
        held = size * inner ** (root.depth - 1)
        chunks = Chunks(data, draws=held, budget=sys.maxsize if guide.whole else budget)
        parts.append(
            global_weights(
                guide, data, root, chunks, draws=size, inner=inner, seed=seed, block=block
            )
        )
    log_weights = torch.cat([part.log_weights for part in parts])
    weights = log_weights.softmax(0)
    return GlobalTail(
        sites=root.sites,
        khat=float(pareto_khat(log_weights)),
        effective_sample_size=float(1 / weights.square().sum()),
        draws=draws,
        joint=root.tied,
        blamed=sites_to_blame(
            {site: torch.cat([part.values[site] for part in parts]) for site in root.sites},
            log_weights,
        ),
        noise=float(torch.tensor([part.noise for part in parts]).square().mean().sqrt()),
    )


def _level(
    guide: Guide,
    data: PlateData,
    path: tuple[Stage, ...],
    *,
    draws: int,
    inner: int,
    seed: int,
    budget: int,
) -> LevelTails:
    stage = path[-1]
    plates = stage.unit or tuple(guide.model.sites[stage.sites[0]].plates)
    khat = None
    if stage.unit:
        chunks = Chunks(data, draws=draws * inner ** (stage.depth - 1), budget=budget)
        weights = row_weights(
            guide,
            data,
            path,
            chunks,
            contexts=CONTEXTS,
            draws=draws // CONTEXTS,
            inner=inner,
            seed=seed,
        )
        # The k-hats of a part before the next part is read: weights are much larger.
        parts = [pareto_khat(part).median(0).values for part in weights]
        khat = chunks.join_on(stage.unit, parts)
    return LevelTails(plates=plates, sites=stage.sites, khat=khat, draws=draws)


def _check(guide: Guide, data: PlateData, *, draws: int, inner: int, elbo_draws: int) -> None:
    if absent := [site for site in guide.model.observed if site not in data.measured]:
        raise ValueError(
            f"a check needs the observed values of {absent}; "
            "load the posterior with Posterior.load(path, model, data=...)."
        )
    if not isinstance(draws, Integral) or draws < LEAST_DRAWS or draws % CONTEXTS:
        raise ValueError(
            f"draws must be a multiple of {CONTEXTS} and at least {LEAST_DRAWS}, got {draws!r}."
        )
    if not isinstance(inner, Integral) or inner < 4 or inner % 2:
        raise ValueError(f"inner must be an even integer of at least 4, got {inner!r}.")
    if not isinstance(elbo_draws, Integral) or elbo_draws < 2:
        raise ValueError(f"elbo_draws must be an integer of at least 2, got {elbo_draws!r}.")
