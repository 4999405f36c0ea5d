"""The best known log evidence of a simulated problem, by importance weighting of a fitted guide.

python -m benchmarks.evidence nc
python -m benchmarks.evidence gm --seeds 3 --save

Of several fits the one with the highest ELBO counts: a mixture has poor modes, in which some fits
end. `log_evidence` is the importance-weighted bound of that guide, plus log L! where L components
are interchangeable and the guide covers one labelling (`benchmarks/labellings.py` says when that
is right). Parts of the posterior that no fit found are missing from it. `--save` writes it to
`experiments/problems/evidence.json`.
"""

from __future__ import annotations

import argparse
import sys

import pavi
from benchmarks.labellings import overlap
from benchmarks.report import report
from experiments.problems.evidence import save_evidence
from experiments.problems.simulated import SIMULATED
from pavi.metrics import importance_bound

FLOWS = {
    "affine": pavi.AffineFlow(),
    "affine_full": pavi.AffineFlow(full=True),
    "maf": pavi.MAFFlow(),
    "nsf": pavi.NSFFlow(),
}


def main() -> None:
    """Fit, keep the best fit, and weight its draws."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problem", choices=sorted(SIMULATED))
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--flow", choices=sorted(FLOWS), default="affine")
    parser.add_argument("--learning-rate", type=float, default=0.03)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=1, help="fits")
    parser.add_argument("--draws", type=int, default=100_000)
    parser.add_argument("--save", action="store_true", help="into the stored evidences")
    arguments = parser.parse_args()
    problem = SIMULATED[arguments.problem]
    model = problem.model()
    data = problem.data(model, seed=arguments.data_seed)
    fits = [
        pavi.fit(
            model,
            data,
            flow=FLOWS[arguments.flow],
            optimization=pavi.Optimization(learning_rate=arguments.learning_rate),
            steps=arguments.steps,
            seed=seed,
            progress=False,
        )
        for seed in range(arguments.seeds)
    ]
    elbos = [fit.elbo(draws=1000).mean for fit in fits]
    guide = fits[elbos.index(max(elbos))].guide
    found = importance_bound(guide, data, draws=arguments.draws, seed=1)
    labellings = problem.log_labellings()
    log_evidence = found.bound + labellings
    figures: dict[str, object] = {
        "problem": arguments.problem,
        "data_seed": arguments.data_seed,
        "log_evidence": log_evidence,
        "standard_error": found.standard_error,
        "effective_sample_size": found.effective_sample_size,
        "draws": found.draws,
        "blocks": [min(found.blocks), max(found.blocks)],
        "elbo": found.elbo,
        "gap_per_latent": (found.bound - found.elbo) / model.num_latents(data.cardinalities),
        "elbo_of_fits": elbos,
        "exact": problem.exact_evidence(data),
    }
    if labellings:
        labels = problem.sizes[problem.interchangeable or ""]
        figures["log_labellings"] = labellings
        figures["overlap"] = overlap(arguments.problem, guide, data, labels=labels)
    if arguments.save:
        command = ["python", "-m", "benchmarks.evidence", *sys.argv[1:]]
        save_evidence(arguments.problem, figures, command=" ".join(command))
    report(figures)


if __name__ == "__main__":
    main()
