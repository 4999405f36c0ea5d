"""What tells a fit from others that its checkpoints might be of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pavi.core import HierarchicalModel
from pavi.guides import Guide
from pavi.guides.prior import prior_references
from pavi.posterior.signature import signature


def fit_identity(guide: Guide, sizes: Mapping[str, object], *, seed: int) -> dict[str, Any]:
    """Plain values, which a checkpoint keeps; one of another fit is refused by them.

    Args:
        guide: As it is built.
        sizes: Per plate, its number of rows or the range of these.
        seed: Of the fit.
    """
    return {
        "seed": seed,
        "plate sizes": dict(sizes),
        "model": signature(guide.model),
        "priors": _priors(guide.model),
        "guide": guide.config(),
    }


def _priors(model: HierarchicalModel) -> dict[str, list[str]]:
    """Center and spread of draws of every latent site: what code the signature cannot see says."""
    return {
        name: [
            f"{center:.4g} +- {spread:.4g}"
            for center, spread in zip(found.center.tolist(), found.spread.tolist(), strict=True)
        ]
        for name, found in prior_references(model).items()
    }
