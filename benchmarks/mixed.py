"""Mixed models on real data, against stored NUTS posteriors.

python -m benchmarks.mixed chem97
python -m benchmarks.mixed insteval --encodings hybrid
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

import pavi
from benchmarks.report import report
from experiments.problems import chem97, insteval
from experiments.problems.reference import Reference, load_reference
from pavi.encodings import Encodings
from pavi.posterior import Summary

PROBLEMS = {"chem97": chem97, "insteval": insteval}
# Of a hybrid on a crossing: what two rounds of messages leave unsaid, free rows say.
HYBRID_ROUNDS = {"chem97": 1, "insteval": 2}
ENCODINGS: dict[str, Callable[[str], Encodings]] = {
    "free": lambda problem: pavi.FreeEncodings(),
    "deep_set": lambda problem: pavi.DeepSetEncodings(),
    "set_transformer": lambda problem: pavi.SetTransformerEncodings(),
    "hybrid": lambda problem: pavi.HybridEncodings(
        pavi.DeepSetEncodings(rounds=HYBRID_ROUNDS[problem])
    ),
}
STEPS = 1000
# Attention takes twice as long a step, and fewer of them.
ATTENTION_STEPS = {"chem97": 750, "insteval": 1000}


def compare(summary: Summary, reference: Reference) -> dict[str, object]:
    """Distances in standard deviations of the reference."""
    found_globals = {
        name: {
            "z": (float(summary.mean[name]) - mean) / sd,
            "sd_ratio": float(summary.sd[name]) / sd,
        }
        for name, (mean, sd) in reference.globals.items()
    }
    found_locals = {}
    for name, (mean, sd) in reference.locals.items():
        error = (summary.mean[name].numpy() - mean) / sd
        ratio = summary.sd[name].numpy() / sd
        found_locals[name] = {
            "rmse_over_sd": float(np.sqrt(np.mean(error**2))),
            "sd_ratio": float(np.median(ratio)),
        }
    return {"globals": found_globals, "locals": found_locals}


def main() -> None:
    """Fit one data set and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problem", choices=sorted(PROBLEMS))
    parser.add_argument("--steps", type=int, help="of the fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--encodings", choices=sorted(ENCODINGS), default="free")
    parser.add_argument("--dependence", choices=["faithful", "parents"], default="faithful")
    arguments = parser.parse_args()
    problem = PROBLEMS[arguments.problem]
    model = problem.model()
    data = problem.data(model)
    start = time.perf_counter()
    attends = arguments.encodings == "set_transformer"
    steps = arguments.steps or (ATTENTION_STEPS[arguments.problem] if attends else STEPS)
    posterior = pavi.fit(
        model,
        data,
        encodings=ENCODINGS[arguments.encodings](arguments.problem),
        steps=steps,
        seed=arguments.seed,
        dependence=arguments.dependence,
    )
    seconds = time.perf_counter() - start
    elbo = posterior.elbo()
    comparison = compare(posterior.summary(draws=4000), load_reference(arguments.problem))
    report({"seconds": seconds, "elbo": elbo.mean, "elbo_se": elbo.standard_error, **comparison})


if __name__ == "__main__":
    main()
