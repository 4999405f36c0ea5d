"""The k-hats of a mixed model on real data: of the globals, and of the rows of every level.

python -m benchmarks.check chem97
python -m benchmarks.check chem97 --splines tau_lea --learning-rate 0.01 --steps 2000

The first fit is that of `benchmarks.mixed`. The posterior of `log tau_lea` has a long left tail,
since 131 authorities hardly exclude a `tau_lea` near zero; a normal has none, and its k-hat says
so. A spline follows it.
"""

from __future__ import annotations

import argparse
import math
import time

import pavi
from benchmarks.mixed import ENCODINGS, PROBLEMS, STEPS
from benchmarks.report import report


def main() -> None:
    """Fit one data set and check the fit."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problem", choices=sorted(PROBLEMS))
    parser.add_argument("--steps", type=int, help="of the fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--encodings", choices=sorted(ENCODINGS), default="free")
    parser.add_argument("--splines", nargs="*", default=[], help="sites with a spline flow")
    parser.add_argument("--learning-rate", type=float, default=0.03)
    parser.add_argument("--draws", type=int, default=2000)
    arguments = parser.parse_args()
    problem = PROBLEMS[arguments.problem]
    model = problem.model()
    data = problem.data(model)
    start = time.perf_counter()
    posterior = pavi.fit(
        model,
        data,
        encodings=ENCODINGS[arguments.encodings](arguments.problem),
        flows={site: pavi.NSFFlow() for site in arguments.splines},
        # Rows keep their rate: each of them is drawn in a part of the steps only.
        optimization=pavi.Optimization(learning_rate=arguments.learning_rate, table_rate=0.03),
        steps=arguments.steps or STEPS,
        seed=arguments.seed,
    )
    fitted = time.perf_counter()
    found = posterior.check(draws=arguments.draws, progress=True)
    checked = time.perf_counter()
    print(found)
    assert found.globals is not None
    report(
        {
            "elbo": found.elbo.mean,
            "elbo_se": found.elbo.standard_error,
            "khat_globals": _number(found.globals.khat),
            "effective_sample_size": found.globals.effective_sample_size,
            "draws": found.globals.draws,
            "noise": found.globals.noise,
            "khat_rows": {
                " x ".join(level.plates): {
                    "median": _number(float(level.khat.median())),
                    "largest": _number(float(level.khat.max())),
                    "share_above": level.share,
                }
                for level in found.levels
                if level.khat is not None
            },
            "trusted": found.trusted,
            "fit_seconds": fitted - start,
            "check_seconds": checked - fitted,
        }
    )


def _number(khat: float) -> float | None:
    """JSON has no infinity: null where all weights are equal."""
    return khat if math.isfinite(khat) else None


if __name__ == "__main__":
    main()
