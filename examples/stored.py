"""Reference posteriors that other problems share, in the form of an example's."""

from __future__ import annotations

import json

import torch

from examples.reference import Reference
from experiments.problems.reference import FOLDER, load_reference
from pavi.interop import Moments


def stored(name: str, *, chains: int, draws: int) -> Reference:
    """A posterior of `experiments/problems/nuts`, made with NumPyro.

    Args:
        name: Of the problem.
        chains: How many it was made of.
        draws: Per chain.
    """
    found = load_reference(name)
    pairs = {**found.globals, **found.locals}
    moments = Moments(
        mean={site: torch.as_tensor(mean) for site, (mean, _) in pairs.items()},
        sd={site: torch.as_tensor(sd) for site, (_, sd) in pairs.items()},
    )
    made = json.loads((FOLDER / f"{name}.json").read_text())
    facts = {
        "sampler": "NumPyro (stored)",
        "chains": chains,
        "draws": draws,
        "seconds": made["seconds"],
        # Kept for the globals only.
        "largest_r_hat": max(row["r_hat"] for row in made["globals"].values()),
        "smallest_ess": min(row["ess"] for row in made["globals"].values()),
    }
    return Reference(moments, facts)
