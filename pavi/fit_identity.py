"""What tells a fit from others that its checkpoints might be of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pavi.core import HierarchicalModel
from pavi.posterior.signature import described_priors, signature
from pavi.training import VariationalInference


def fit_identity(
    module: VariationalInference, sizes: Mapping[str, object], *, seed: int
) -> dict[str, Any]:
    """Plain values, which a checkpoint keeps; one of another fit is refused by them.

    All that decides a step is in it, but what draws the batches. The number of steps is not: a fit
    may be made longer.

    Args:
        module: The guide as it is built, with its objective and optimiser.
        sizes: Per plate, its number of rows or the range of these.
        seed: Of the fit.
    """
    guide = module.guide
    chosen = {"objective": module.objective, "optimization": module.optimization}
    return {
        "seed": seed,
        "plate sizes": dict(sizes),
        "model": signature(guide.model),
        "priors": _priors(guide.model),
        "guide": guide.config(),
        "warm_up": [repr(phase) for phase in module.warm_up.phases],
        **{name: _plain(value) for name, value in chosen.items()},
    }


def _plain(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass of numbers and choices; a choice as its name."""
    return {
        name: str(value) if isinstance(value, str) else value
        for name, value in vars(settings).items()
    }


def _priors(model: HierarchicalModel) -> dict[str, list[str]]:
    """The priors of every latent site, as texts."""
    return {
        name: [
            f"{center:.4g} +- {spread:.4g}"
            for center, spread in zip(found["center"], found["spread"], strict=True)
        ]
        for name, found in described_priors(model).items()
    }
