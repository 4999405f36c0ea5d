"""The posterior as ArviZ's labelled arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from math import prod
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from pavi.core.distributions import unvalidated
from pavi.data import PlateData
from pavi.files import size_told
from pavi.posterior.ancestral import replicate
from pavi.posterior.checks import check_draws, check_observed, latent_sites
from pavi.posterior.coordinates import (
    check_names,
    coordinates,
    dimensions,
    event_coordinates,
    parent_coordinates,
)
from pavi.posterior.fitted import Fitted
from pavi.posterior.joint_draws import BUDGET, JointDraws, Part

if TYPE_CHECKING:
    import xarray

LATENTS, REPLICATED, LIKELIHOOD = "posterior", "posterior_predictive", "log_likelihood"
STATS, OBSERVED, CONSTANT = "sample_stats", "observed_data", "constant_data"
GROUPS = (LATENTS, REPLICATED, LIKELIHOOD, STATS, OBSERVED, CONSTANT)
# The groups that are nothing without observed values.
MEASURED = {LIKELIHOOD: "the log likelihood", STATS: "sample_stats", OBSERVED: "observed_data"}


def to_arviz(
    posterior: Fitted,
    *,
    draws: int = 1000,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    limit: int = 2**31,
    budget: int = BUDGET,
    progress: bool = False,
) -> xarray.DataTree:
    """An ArviZ tree, with plates as dimensions and labels as coordinates.

    Args:
        posterior: The posterior.
        draws: The number of draws, all in one chain.
        seed: Of the draws.
        groups: Of `posterior`, `posterior_predictive`, `log_likelihood` (zero where a value
            is missing), `sample_stats` (log joint density `lp` and guide density `log_q`),
            `observed_data` and `constant_data`; all by default.
        limit: How many bytes it may have.
        budget: How many numbers a chunk may hold.
        progress: Whether to show a bar.

    Raises:
        ImportError: Without arviz-base, which the extra `arviz` brings.
        ValueError: If it would be larger, or a group needs values that are not there.
    """
    try:
        from arviz_base import from_dict
    except ImportError:
        raise ImportError(
            "to_arviz() needs arviz-base, which is optional: pip install 'pavi-torch[arviz]'"
        ) from None

    guide, data = posterior.guide, posterior.data
    wanted = GROUPS if groups is None else tuple(groups)
    if unknown := [name for name in wanted if name not in GROUPS]:
        raise ValueError(f"{unknown[0]!r} is not a group; groups are {list(GROUPS)}.")
    latent_sites(guide, data, ())
    check_draws(draws)
    check_names(guide.model)
    for name, purpose in MEASURED.items():
        if name in wanted:
            check_observed(data, purpose)
    _check_size(data, wanted, draws=draws, limit=limit)
    joint = JointDraws(guide, data, draws=draws, seed=seed, budget=budget, observed=True)
    collected = _Collected(joint, data, wanted, draws=draws)
    for number, part in enumerate(joint.parts(progress=progress)):
        collected.add(
            part,
            first=number == 0,
            seed=int(np.random.default_rng([seed, number, 3]).integers(2**63 - 1)),
        )
    trees = collected.groups()
    model = guide.model
    if OBSERVED in wanted:
        trees[OBSERVED] = {site: _with_gaps(data, site) for site in model.observed}
    if CONSTANT in wanted and model.covariates:
        trees[CONSTANT] = {site: data.whole(site).numpy() for site in model.covariates}
    above = parent_coordinates(data)
    attributes = {"inference_library": "pavi", "inference_library_version": version("pavi-torch")}
    tree = from_dict(
        trees,
        coords=coordinates(data, draws=draws) | event_coordinates(model, tuple(model.sites)),
        dims={site: dimensions(model, site) for site in model.sites},
        attrs=dict.fromkeys(trees, attributes),
    )
    for name in trees:
        held = tree[name].dataset
        along = {key: entry for key, entry in above.items() if entry[0] in held.dims}
        tree[name].dataset = held.assign_coords(along)
    return tree


@final
class _Collected:
    """What the groups of draws hold, put together part by part."""

    def __init__(
        self, joint: JointDraws, data: PlateData, wanted: Sequence[str], *, draws: int
    ) -> None:
        self._chunks, self._model, self._wanted, self._draws = (
            joint.chunks,
            data.model,
            wanted,
            draws,
        )
        self._parts: dict[str, dict[str, list[Tensor]]] = {}
        self._sums: dict[str, Tensor] = {}
        self._replicated: dict[str, Tensor] = {}

    def add(self, part: Part, *, first: bool, seed: int) -> None:
        """Take in a part: `first` brings the sites that all parts share."""
        model, drawn, batch = self._model, part.draws, part.batch
        new = [site for site in model.sites if first or not self._chunks.shared(site)]
        latents = [site for site in new if site in model.latents]
        observed = [site for site in new if site in model.observed]
        if LATENTS in self._wanted:
            self._keep(LATENTS, {site: drawn.values[site] for site in latents})
        if REPLICATED in self._wanted:
            held = drawn.values | self._replicated
            found = replicate(model, observed, held, batch, draws=self._draws, seed=seed)
            shared = {site: v for site, v in found.items() if self._chunks.shared(site)}
            self._replicated.update(shared)
            self._keep(REPLICATED, found)
        if not {LIKELIHOOD, STATS} & set(self._wanted):
            return
        with unvalidated():
            factors = {
                site: model.log_factor(site, drawn.values, batch, draws=self._draws)
                for site in observed
            }
        if LIKELIHOOD in self._wanted:
            self._keep(LIKELIHOOD, factors)
        if STATS in self._wanted:
            for site in latents:
                self._add("lp", drawn.log_p[site])
                self._add("log_q", drawn.log_q[site])
            for factor in factors.values():
                self._add("lp", factor)

    def groups(self) -> dict[str, dict[str, np.ndarray]]:
        """The groups, each array with an axis for its one chain."""
        found = {
            group: {
                site: self._chunks.join(site, parts, lead=1).unsqueeze(0).numpy()
                for site, parts in sites.items()
            }
            for group, sites in self._parts.items()
        }
        if self._sums:
            found[STATS] = {name: total.unsqueeze(0).numpy() for name, total in self._sums.items()}
        return found

    def _keep(self, group: str, values: Mapping[str, Tensor]) -> None:
        held = self._parts.setdefault(group, {})
        for site, value in values.items():
            held.setdefault(site, []).append(value)

    def _add(self, name: str, factor: Tensor) -> None:
        total = factor.double().reshape(len(factor), -1).sum(1).expand(self._draws)
        self._sums[name] = self._sums.get(name, 0.0) + total


def _with_gaps(data: PlateData, site: str) -> np.ndarray:
    """Observed values, with NaN where one is missing."""
    value = data.whole(site)
    if site in data.present:
        mask = data.present[site]
        mask = mask.reshape(mask.shape + (1,) * (value.ndim - mask.ndim))
        value = torch.where(mask, value, torch.nan)
    return value.numpy()


def _check_size(data: PlateData, wanted: Sequence[str], *, draws: int, limit: int) -> None:
    model, item = data.model, data.like.element_size()

    def numbers(sites: Sequence[str], *, events: bool = True) -> int:
        return sum(
            prod(data.cardinalities[plate] for plate in model.sites[site].plates)
            * (prod(model.sites[site].event_shape) if events else 1)
            for site in sites
        )

    held = {
        LATENTS: draws * numbers(model.latents),
        REPLICATED: draws * numbers(model.observed),
        LIKELIHOOD: draws * numbers(model.observed, events=False),
    }
    held = {group: item * count for group, count in held.items() if group in wanted}
    if (size := sum(held.values())) > limit:
        parts = ", ".join(f"{group} {size_told(count)}" for group, count in held.items())
        raise ValueError(
            f"the export would have {size_told(size)} ({parts}), above the limit of "
            f"{size_told(limit)}. Ask for fewer draws than {draws} or for fewer groups, as "
            f"groups=({LATENTS!r},), raise the limit, or write the draws to disk with "
            "posterior.to_zarr(path), a part at a time."
        )
