"""Quantities computed from the draws: contrasts, ratios, residuals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.alignment import Alignment
from pavi.core.arguments import argument_names
from pavi.posterior.checks import check_draws, check_observed, latent_sites
from pavi.posterior.fitted import Fitted
from pavi.posterior.joint_draws import BUDGET, JointDraws


@torch.no_grad()
def derive(
    posterior: Fitted,
    fn: Callable[..., Tensor],
    *,
    plates: str | Sequence[str] = (),
    draws: int = 1000,
    seed: int = 0,
    reduce: Callable[[Tensor], Tensor] | None = None,
    budget: int = BUDGET,
    progress: bool = False,
) -> Tensor:
    """Draws of a quantity computed from sites, such as a contrast, chunk by chunk.

    Args:
        posterior: The posterior.
        fn: Its argument names are sites, which it gets as a conditional on `plates` would.
        plates: Of the quantity.
        draws: The number of draws.
        seed: Of the draws; those of `sample` with the same seed.
        reduce: What to keep of a chunk, one axis in front of the plates, as
            `lambda q: q.mean(0, keepdim=True)`; all draws by default.
        budget: How many numbers a chunk may hold.
        progress: Whether to show a bar.

    Returns:
        A tensor `(draws, *plates, *event)`.

    Raises:
        ValueError: If an argument is no site or out of reach of the plates, or `fn` returns
            another shape.

    Example:
        `posterior.map(lambda mu, b: b - mu, plates="school")`
    """
    guide, data = posterior.guide, posterior.data
    model = guide.model
    plates = (plates,) if isinstance(plates, str) else tuple(plates)
    _check_plates(model, plates)
    check_draws(draws)
    names = _arguments(model, fn)
    latents = [name for name in names if name in model.latents]
    if latents:
        latent_sites(guide, data, latents)
    observed = any(name in model.observed for name in names)
    if observed:
        check_observed(data, "this function")
    if absent := [n for n in names if n in model.covariates and n not in data.measured]:
        raise ValueError(
            f"the function uses the covariate {absent[0]!r}; the data hold {list(data.measured)}. "
            "Load the posterior with Posterior.load(path, model, data=...)."
        )
    alignments = _alignments(model, names, plates)
    joint = JointDraws(guide, data, draws=draws, seed=seed, budget=budget, observed=observed)
    parts: list[Tensor] = []
    for part in joint.parts(latents, progress=progress):
        arguments = {}
        for name, alignment in alignments.items():
            latent = name in latents
            value = part.draws.values[name] if latent else part.batch.values[name].unsqueeze(0)
            arguments[name] = alignment(value, part.batch)
        result = _expanded(fn(**arguments), plates, part.batch, draws)
        parts.append(result if reduce is None else _reduced(reduce(result), result, plates))
        if joint.chunks.shared_on(plates):
            break
    return joint.chunks.join_on(plates, parts, lead=1)


def _arguments(model: HierarchicalModel, fn: Callable[..., Any]) -> tuple[str, ...]:
    names = argument_names(fn, who="the function", names="sites")
    if unknown := [name for name in names if name not in model.sites]:
        raise ValueError(
            f"the function has the argument {unknown[0]!r}, which is not a site; sites are "
            f"{list(model.sites)}. An argument with a default is a constant."
        )
    return names


def _check_plates(model: HierarchicalModel, plates: Sequence[str]) -> None:
    if unknown := [plate for plate in plates if plate not in model.plates]:
        raise ValueError(f"{unknown[0]!r} is not a plate; plates are {list(model.plates)}.")
    for plate in plates:
        others = [other for other in plates if other != plate]
        if common := model.plates.closure([plate]) & model.plates.closure(others):
            raise ValueError(
                f"plates {list(plates)} share {sorted(common)[0]!r}; name the finer plate alone, "
                "or plates that have nothing in common."
            )
    if len(set(plates)) < len(plates):
        raise ValueError(f"plates {list(plates)} name one of them twice.")


def _alignments(
    model: HierarchicalModel, names: Sequence[str], plates: Sequence[str]
) -> dict[str, Alignment]:
    """How each site is read: as by a conditional on these plates, of the largest event rank."""
    rank = max((len(model.sites[name].event_shape) for name in names), default=0)
    found = {}
    for name in names:
        site = model.sites[name]
        try:
            found[name] = Alignment.between(
                model.plates,
                site.plates,
                plates,
                source_rank=len(site.event_shape),
                target_rank=rank,
            )
        except ValueError as error:
            raise ValueError(
                f"the function uses {name!r}, which {error}. plates= names the plates of the "
                f"result; {name!r} lies on {list(site.plates)}."
            ) from None
    return found


def _expanded(result: Any, plates: Sequence[str], batch: PlateBatch, draws: int) -> Tensor:
    """The result with its axes of length one drawn out."""
    expected = (draws, *batch.shape(plates))
    got = tuple(result.shape) if isinstance(result, Tensor) else None
    fits = got is not None and len(got) >= len(expected)
    if (
        got is None
        or not fits
        or any(own not in (1, full) for own, full in zip(got, expected, strict=False))
    ):
        what = f"a tensor of shape {got}" if got is not None else f"a {type(result).__name__}"
        axes = ", ".join(["draws", *plates, "*event"])
        raise ValueError(
            f"the function must return a tensor of shape ({axes}), here with {expected} in front; "
            f"it returned {what}."
        )
    return result.expand(*expected, *got[len(expected) :])


def _reduced(kept: Any, result: Tensor, plates: Sequence[str]) -> Tensor:
    rows = tuple(result.shape[1 : 1 + len(plates)])
    if not isinstance(kept, Tensor) or tuple(kept.shape[1 : 1 + len(plates)]) != rows:
        got = tuple(kept.shape) if isinstance(kept, Tensor) else type(kept).__name__
        raise ValueError(
            f"reduce must keep the axes of the plates {list(plates)} behind one axis in front, as "
            f"(any, {', '.join(map(str, rows))}, ...); it returned {got}. A mean over draws is "
            "lambda q: q.mean(0, keepdim=True)."
        )
    return kept
