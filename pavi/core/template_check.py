"""Running every conditional once on tiny plates, so that mistakes show when a model is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributions import Distribution, LKJCholesky, constraints

from pavi.core.batch import whole
from pavi.core.distributions import cast, shaped, support_of
from pavi.core.sites import Covariate, Latent

if TYPE_CHECKING:
    from pavi.core.model import HierarchicalModel

DRAWS = 2
# Distinct sizes, so that an axis in the wrong place cannot go unnoticed by chance.
SIZES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31)


def check_template(
    model: HierarchicalModel, *, dtype: torch.dtype | None = None
) -> dict[str, constraints.Constraint]:
    """Draw every site of a tiny grounded model; see `HierarchicalModel` for what is checked.

    Args:
        model: The template.
        dtype: The type to draw in, torch's default if None.

    Returns:
        The support of every latent and observed site, as found on the tiny plates.

    Raises:
        ValueError: If a site is wrong.
    """
    like = torch.zeros((), dtype=dtype)
    sizes = dict(zip(model.plates, SIZES, strict=False))
    if len(sizes) < len(model.plates):
        raise ValueError(f"a model has at most {len(SIZES)} plates, got {len(model.plates)}.")
    links = {
        name: {parent: torch.arange(sizes[name]) % sizes[parent] for parent in plate.within}
        for name, plate in model.plates.items()
        if plate.within
    }
    # One is in the support of nearly everything a covariate parametrises.
    ones = {}
    for name in model.covariates:
        site = model.sites[name]
        ones[name] = like.new_ones([*(sizes[p] for p in site.plates), *site.event_shape])
    batch = whole(sizes, links, ones, like=like)
    drawn: dict[str, Tensor] = {}
    supports: dict[str, constraints.Constraint] = {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        for name, site in model.sites.items():
            if isinstance(site, Covariate):
                continue
            arguments = {
                parent: model.aligned(parent, name, drawn, batch) for parent in site.parents
            }
            shapes = ", ".join(f"{k} {tuple(v.shape)}" for k, v in arguments.items()) or "nothing"
            received = f"On tiny plates with {DRAWS} draws and sizes {sizes} it got {shapes}."
            try:
                distribution = site.conditional(**arguments)
            except Exception as error:
                raise ValueError(
                    f"site {name!r}: its conditional failed with {type(error).__name__}: "
                    f"{error}. {received}{_of_type(like)}"
                ) from error
            if not isinstance(distribution, Distribution):
                raise ValueError(
                    f"site {name!r}: its conditional must return a torch distribution, "
                    f"got {type(distribution).__name__}."
                )
            if isinstance(site, Latent):
                _check_latent(name, distribution)
            try:
                batch_shape = (DRAWS, *batch.shape(site.plates))
                full = shaped(cast(distribution, batch.like), batch_shape, site.event_shape)
            except ValueError as error:
                raise ValueError(f"site {name!r}: {error}. {received}") from None
            try:
                drawn[name] = full.sample()
            except RuntimeError as error:
                raise ValueError(
                    f"site {name!r}: its {type(distribution).__name__} gives no draws: {error}. "
                    f"{received}{_of_type(like)}"
                ) from error
            supports[name] = support_of(full)
    return supports


def _of_type(like: Tensor) -> str:
    """What constants must be for numbers of another type than torch's default."""
    if like.dtype == torch.get_default_dtype():
        return ""
    return (
        f" All of it is of {like.dtype}, and matrix products do not mix types: make constants "
        "from an argument, `tau.new_ones(2)` and not `torch.ones(2)`, or read the data with "
        f"dtype={torch.get_default_dtype()}."
    )


def _check_latent(name: str, distribution: Distribution) -> None:
    family = type(distribution).__name__
    if support_of(distribution).is_discrete:
        raise ValueError(
            f"site {name!r} is latent and its {family} is discrete; sum a finite discrete "
            "variable out, for instance with MixtureSameFamily."
        )
    # Torch draws correlation matrices without gradients. Guides that move Gaussian noise need none
    # of the prior's draws; those that do say so.
    if not distribution.has_rsample and not isinstance(distribution, LKJCholesky):
        raise ValueError(
            f"site {name!r} is latent, so its distribution must be reparameterised (has rsample); "
            f"{family} is not."
        )
