"""Sample amortization on Gaussian random effects: gaps on data sets that were never seen.

python -m benchmarks.sample_amortized

The set-up of ADAVI (Rouillard and Wassermann, 2022): scales 0.5, 0.5, 0.1, two dimensions, fifty
observations a group; but one guide for all numbers of groups, where ADAVI trains one for each.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import pavi
from benchmarks.report import report
from pavi.models import gaussian_random_effects, gre_posterior

SCALES = (0.5, 0.5, 0.1)
EVALUATION_DRAWS = 512


def main() -> None:
    """Train once, then condition on unseen data sets of every size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--groups", default="3,30,300", help="numbers with commas")
    parser.add_argument("--obs", type=int, default=50)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--datasets", type=int, default=8, help="data sets a step")
    parser.add_argument("--unseen", type=int, default=20, help="data sets to condition on")
    parser.add_argument("--objective", choices=["reverse", "forward"], default="reverse")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    numbers = [int(number) for number in arguments.groups.split(",")]
    model = gaussian_random_effects(dim=2, scales=SCALES)
    amortized = pavi.amortize(
        model,
        {"group": (min(numbers), max(numbers)), "obs": arguments.obs},
        datasets=arguments.datasets,
        steps=arguments.steps,
        seed=arguments.seed,
        objective=pavi.ForwardKL() if arguments.objective == "forward" else None,
    )
    gaps, seconds = {}, []
    for groups in numbers:
        found = []
        for number in range(arguments.unseen):
            sizes = {"group": groups, "obs": arguments.obs}
            # Seeds of training are drawn from 63 bits; these are others.
            simulation = model.simulate(sizes, seed=10_000 + number)
            data = pavi.PlateData.from_arrays(simulation.arrays, model)
            start = time.perf_counter()
            posterior = amortized.condition(data)
            seconds.append(time.perf_counter() - start)
            evidence = gre_posterior(data.values["x"], scales=SCALES).log_evidence
            found.append(evidence - posterior.elbo(draws=EVALUATION_DRAWS).mean)
        gaps[str(groups)] = found
    report(
        {
            "gap_median": {groups: median(found) for groups, found in gaps.items()},
            "gap_worst": {groups: max(found) for groups, found in gaps.items()},
            "train_seconds": amortized.history["seconds"][-1],
            "infer_seconds": median(seconds),
            "num_parameters": sum(p.numel() for p in amortized.guide.parameters()),
        }
    )


if __name__ == "__main__":
    main()
