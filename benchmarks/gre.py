"""Gaussian random effects: the gap to the exact evidence, seconds of training, parameters.

python -m benchmarks.gre --guide pavi_f --groups 300 --steps 2000 --seeds 5
python -m benchmarks.gre --guide pavi_e --groups 30,300,3000,30000,300000 --steps 2000 --seeds 5
"""

from __future__ import annotations

import argparse
import time
from statistics import median

from rich.progress import track

import pavi
from benchmarks.report import report
from pavi.models import gaussian_random_effects, gre_posterior

# The error of a gap per latent falls with the number of groups as with that of draws.
EVALUATION_DRAWS, EVALUATION_ROWS = 512, 200_000
GUIDES = {"pavi_f": pavi.FreeEncodings, "pavi_e": pavi.DeepSetEncodings}
# A linear map of few statistics stands faster rates than the default, which is for real data.
OPTIMIZATION = {
    "pavi_f": pavi.Optimization(),
    "pavi_e": pavi.Optimization(learning_rate=0.1, network_rate=0.05),
}


def measure(
    groups: int, seed: int, scales: tuple[float, float, float], arguments: argparse.Namespace
) -> dict[str, float]:
    """Simulate, fit and compare with the exact evidence."""
    model = gaussian_random_effects(dim=arguments.dim, scales=scales)
    simulation = model.simulate({"group": groups, "obs": arguments.obs}, seed=seed)
    data = pavi.PlateData.from_arrays(simulation.arrays, model)
    start = time.perf_counter()
    posterior = pavi.fit(
        model,
        data,
        encodings=GUIDES[arguments.guide](dim=arguments.encoding_dim),
        dependence=arguments.dependence,
        optimization=OPTIMIZATION[arguments.guide],
        batch={"group": min(arguments.batch, groups)},
        steps=arguments.steps,
        seed=seed,
        progress=False,
    )
    seconds = time.perf_counter() - start
    draws = max(8, min(EVALUATION_DRAWS, EVALUATION_ROWS // groups))
    elbo = posterior.elbo(draws=draws)
    evidence = gre_posterior(data.values["x"], scales=scales).log_evidence
    return {
        "gap_per_latent": (evidence - elbo.mean) / model.num_latents(data.cardinalities),
        "seconds": seconds,
        "num_parameters": sum(p.numel() for p in posterior.trained.parameters()),
    }


def main() -> None:
    """Run all seeds at every number of groups."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--guide", choices=sorted(GUIDES), default="pavi_f")
    parser.add_argument("--groups", default="300", help="a number, or several with commas")
    parser.add_argument("--obs", type=int, default=50)
    parser.add_argument("--dim", type=int, default=2)
    parser.add_argument("--scales", default="0.5,0.5,0.1", help="of mu, mu_g and x")
    parser.add_argument("--batch", type=int, default=20, help="groups a step")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--encoding-dim", type=int, default=16)
    parser.add_argument("--dependence", choices=["faithful", "parents"], default="faithful")
    arguments = parser.parse_args()
    s_mu, s_g, s_x = (float(scale) for scale in arguments.scales.split(","))
    figures = {}
    for groups in map(int, arguments.groups.split(",")):
        seeds = track(range(arguments.seeds), f"{groups} groups", transient=True)
        runs = [measure(groups, seed, (s_mu, s_g, s_x), arguments) for seed in seeds]
        figures[str(groups)] = {
            "gap_per_latent_median": median(run["gap_per_latent"] for run in runs),
            "gap_per_latent": [run["gap_per_latent"] for run in runs],
            "seconds_median": median(run["seconds"] for run in runs),
            "num_parameters": int(runs[0]["num_parameters"]),
        }
    report(next(iter(figures.values())) if len(figures) == 1 else {"groups": figures})


if __name__ == "__main__":
    main()
