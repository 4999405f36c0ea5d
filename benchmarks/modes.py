"""How often fits of the Gaussian mixture end in its best mode, with and without a warm-up.

python -m benchmarks.modes --warm-up none,map

A fit counts as good if its ELBO is within 0.5 nats of the best of all fits to the same data.
"""

from __future__ import annotations

import argparse

from rich.progress import track

import pavi
from benchmarks.report import report
from experiments.problems.simulated import SIMULATED
from pavi.objectives import MAP, Annealed, CoolStart, Unregularised

WARM_UPS = {
    "none": pavi.WarmUp(),
    "map": pavi.WarmUp((MAP(until=0.1),)),
    "cool_start": pavi.WarmUp((CoolStart(),)),
    "unregularised": pavi.WarmUp((Unregularised(until=0.2),)),
    "annealed": pavi.WarmUp((Annealed(until=0.5),)),
}


def main() -> None:
    """Fit with every warm-up, data set and seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--warm-up", default="none,map", help=f"of {', '.join(WARM_UPS)}")
    parser.add_argument("--data", type=int, default=2, help="data sets")
    parser.add_argument("--seeds", type=int, default=5, help="fits per data set")
    parser.add_argument("--steps", type=int, default=2000)
    arguments = parser.parse_args()
    names = arguments.warm_up.split(",")
    problem = SIMULATED["gm"]
    model = problem.model()
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for seed in range(arguments.data):
        data = problem.data(model, seed=seed)
        for name in names:
            fits = [
                pavi.fit(
                    model,
                    data,
                    warm_up=WARM_UPS[name],
                    steps=arguments.steps,
                    seed=fit,
                    progress=False,
                )
                for fit in track(range(arguments.seeds), f"data {seed}, {name}")
            ]
            found[name].append([fit.elbo(draws=512).mean for fit in fits])
    best = [max(max(found[name][k]) for name in names) for k in range(arguments.data)]
    good = {
        name: sum(elbo > best[k] - 0.5 for k, row in enumerate(rows) for elbo in row)
        for name, rows in found.items()
    }
    fits_each = arguments.data * arguments.seeds
    report({"good": good, "of": fits_each, "elbos": found})


if __name__ == "__main__":
    main()
