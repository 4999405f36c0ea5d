"""The posterior predictive: replicated data, and data of other rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pavi.core import HierarchicalModel
from pavi.data import PlateData
from pavi.data.rows import take_rows
from pavi.data.subset import subset_rows
from pavi.metrics.absent_covariates import absent_covariates
from pavi.posterior.ancestral import AncestralDraws, ancestors
from pavi.posterior.checks import check_covariates, check_data, check_draws, chosen_rows
from pavi.posterior.extension import check_known
from pavi.posterior.fitted import Fitted
from pavi.posterior.joint_draws import BUDGET
from pavi.posterior.known import KnownRows


@torch.no_grad()
def predict(
    posterior: Fitted,
    *sites: str,
    data: PlateData | None = None,
    new: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
    budget: int = BUDGET,
    progress: bool = False,
    **rows: Sequence[int] | np.ndarray,
) -> Any:
    """Posterior predictive draws of observed sites.

    Args:
        posterior: The posterior.
        sites: The sites; all of them by default.
        data: Covariates of the rows to predict, as from `PlateData.from_frame(frame, model,
            observed=False)`; by default the fitted rows, for replicated data. Groups are
            recognised by their labels; latents of others are drawn from their prior.
        new: The plates that may have rows with unseen labels; all by default.
        draws: The number of draws.
        seed: The same seed gives the same draws.
        budget: How many numbers a chunk may hold.
        progress: Whether to show a bar.
        rows: Per plate, the rows to predict, with all below them, as in `sample`.

    Returns:
        A tensor `(draws, *plates, *event)` for one named site, otherwise a dict of these.

    Raises:
        ValueError: If a site, plate or row does not exist, a covariate is missing, or it
            cannot be told which rows are new.
    """
    guide, fitted = posterior.guide, posterior.data
    model = guide.model
    wanted = _observed(model, sites)
    check_draws(draws)
    needed = ancestors(model, wanted)
    latents = [name for name in needed if name in model.latents]
    if data is None:
        data = fitted
        places = {plate: np.arange(size) for plate, size in fitted.cardinalities.items()}
    else:
        places = _recognised(fitted, data, latents, new)
    chosen = chosen_rows(data, rows)
    if chosen:
        kept = subset_rows(data, chosen)
        places = {p: n[kept[p]] if p in kept else n for p, n in places.items()}
        data = data.subset(**chosen)
    known = KnownRows(guide, fitted, places, draws=draws, seed=seed)
    check_covariates(guide, fitted, [name for name in latents if known.some(name)])
    _check_measured(data, [n for n in needed if n in wanted or not known.every(n)], wanted)
    drawing = AncestralDraws(known, data, wanted, draws=draws, seed=seed, budget=budget)
    shared = [n for n in drawing.chunks.fixed if not absent_covariates(guide, fitted, [n])]
    parts: dict[str, list[Tensor]] = {site: [] for site in wanted}
    for values in drawing.parts(shared=shared, progress=progress):
        for site in wanted:
            if not (parts[site] and drawing.chunks.shared(site)):
                parts[site].append(values[site])
    order = {p: np.searchsorted(np.unique(numbers), numbers) for p, numbers in chosen.items()}
    values = {
        site: take_rows(
            drawing.chunks.join(site, found, lead=1), model.sites[site].plates, order, lead=1
        )
        for site, found in parts.items()
    }
    return values[sites[0]] if len(sites) == 1 else values


def _observed(model: HierarchicalModel, sites: Sequence[str]) -> Sequence[str]:
    wanted = sites or model.observed
    if unknown := [site for site in wanted if site not in model.observed]:
        kind = "a latent site, which sample() draws" if unknown[0] in model.latents else "unknown"
        raise ValueError(
            f"{unknown[0]!r} is {kind}; predict() draws the observed sites {list(model.observed)}."
        )
    return wanted


def _recognised(
    fitted: PlateData, data: PlateData, latents: Sequence[str], new: Sequence[str] | None
) -> dict[str, np.ndarray]:
    """Per plate, for each row of the data the fitted row of the same name, or -1."""
    model = fitted.model
    check_data(data, model, observed=False)
    rows = data.rows_in(fitted)
    check_known(rows, data, new)
    lying = {plate: name for name in latents for plate in model.sites[name].plates}
    for plate, name in lying.items():
        for held, which in ((fitted, "that were fitted"), (data, "to predict")):
            if plate not in (new or ()) and held.names(plate) is None:
                raise ValueError(
                    f"the rows of plate {plate!r}, which {name!r} lies on, cannot be told to be "
                    f"old or new: in the data {which} they, or those above them, have no labels. "
                    "Give labels, as in PlateData.from_arrays(..., labels=...), or name the plate "
                    f"in new=[{plate!r}] if all of its rows are new."
                )
    return {plate: numbers.numpy() for plate, numbers in rows.items()}


def _check_measured(data: PlateData, names: Sequence[str], sites: Sequence[str]) -> None:
    """The data hold the covariates of all that is drawn from the model."""
    for name in names:
        parents = data.model.sites[name].parents
        absent = [p for p in parents if p in data.model.covariates and p not in data.measured]
        if absent:
            raise ValueError(
                f"predicting {list(sites)} needs the covariate {absent[0]!r} for {name!r}; the "
                f"data hold {list(data.measured)}. Give data that have it, or load the posterior "
                "with Posterior.load(path, model, data=...)."
            )
