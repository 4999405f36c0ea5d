"""Groups that were never trained on, against a stored NUTS posterior of all data.

python -m benchmarks.unseen chem97
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import pavi
from benchmarks.report import report
from experiments.problems import chem97
from experiments.problems.reference import load_reference

LEVELS = (0.05, 0.95)


def main() -> None:
    """Train on 80% of the schools, and infer the effects of the others in one pass."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problem", choices=["chem97"])
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the fit")
    parser.add_argument("--held-out", type=float, default=0.2, help="the part of the schools")
    arguments = parser.parse_args()
    model = chem97.model()
    whole = chem97.data(model)
    size = whole.cardinalities["school"]
    rng = np.random.default_rng(arguments.seed)
    unseen = np.sort(rng.choice(size, round(arguments.held_out * size), replace=False))
    seen = np.setdiff1d(np.arange(size), unseen)
    posterior = pavi.fit(
        model,
        whole.subset(school=seen),
        encodings=pavi.DeepSetEncodings(),
        steps=arguments.steps,
        seed=arguments.seed,
    )
    start = time.perf_counter()
    summary = posterior.extend(whole).summary("school_effect", draws=4000, levels=LEVELS)
    seconds = time.perf_counter() - start
    mean, sd = (part[unseen] for part in load_reference("chem97").locals["school_effect"])
    error = (summary.mean["school_effect"].numpy()[unseen] - mean) / sd
    low, high = summary.quantiles["school_effect"].numpy()[:, unseen]
    # The reference's probability of the interval, its posterior taken as normal.
    bounds = torch.as_tensor(np.stack([low - mean, high - mean]) / sd)
    covered = torch.special.ndtr(bounds).diff(dim=0)
    report(
        {
            "rmse_over_sd": float(np.sqrt(np.mean(error**2))),
            "coverage90": float(covered.mean()),
            "unseen": len(unseen),
            "train_seconds": posterior.history["seconds"][-1],
            "infer_seconds": seconds,
        }
    )


if __name__ == "__main__":
    main()
