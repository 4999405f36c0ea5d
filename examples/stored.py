"""Reference posteriors that are kept with the project, in the form of an example's."""

from __future__ import annotations

import torch

from examples.reference import Reference
from experiments.problems.reference import load_reference
from pavi.interop import Moments


def stored(name: str, *, chains: int, draws: int, seconds: float) -> Reference:
    """A posterior of `experiments/problems/nuts`, made with NumPyro.

    Args:
        name: Of the problem.
        chains: How many it was made of.
        draws: Per chain.
        seconds: What it took.
    """
    found = load_reference(name)
    pairs = {**found.globals, **found.locals}
    moments = Moments(
        mean={site: torch.as_tensor(mean) for site, (mean, _) in pairs.items()},
        sd={site: torch.as_tensor(sd) for site, (_, sd) in pairs.items()},
    )
    facts = {
        "sampler": "NumPyro (stored)",
        "chains": chains,
        "draws": draws,
        "seconds": seconds,
    }
    return Reference(moments, facts)
