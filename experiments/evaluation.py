"""What is measured of a guide after training."""

from __future__ import annotations

from typing import Any

from experiments.build import Experiment, build_guide, gre_scales
from experiments.choices import ProblemName
from experiments.config import IMPORTANCE_BLOCKS, ExperimentConfig
from experiments.gradient_variance import gradient_variance
from experiments.gre_gap import gre_gap
from experiments.problems.simulated import SIMULATED
from pavi import PlateData, Posterior
from pavi.metrics import importance_bound
from pavi.models import gre_posterior

SEEDS = 1000  # of fits per data set, more than any study has


def evaluate(
    config: ExperimentConfig, experiment: Experiment, posterior: Posterior
) -> dict[str, Any]:
    """How good the guide is, what it cost, and what else was asked for."""
    metrics = {
        **accuracy(config, posterior),
        "seconds": posterior.history["seconds"][-1],
        "steps": config.train.steps,
        "batch": experiment.batch,
        "num_parameters": sum(p.numel() for p in posterior.trained.parameters()),
    }
    if config.gradient_batches:
        # Guides that were trained on other batches end elsewhere; all start at the same place.
        untrained = build_guide(config.guide, experiment.data, seed=config.seed)
        untrained.standardise(experiment.stream.reference())
        for name, guide in (("start", untrained), ("final", posterior.trained)):
            metrics[f"{name}_gradient_variance"] = gradient_variance(
                guide,
                experiment.data,
                config.train.build_objective(),
                batch=experiment.batch,
                blocks=config.train.blocks,
                batches=config.gradient_batches,
                seed=config.seed + 1,
            )
    return metrics


def accuracy(config: ExperimentConfig, posterior: Posterior) -> dict[str, Any]:
    """The ELBO on all data and, where known or asked for, how far it is from the evidence.

    `gap` is the exact log evidence less the ELBO, on random effects by `gre_gap`.
    `importance_bound` is missing for a guide whose density is itself a bound. A guide's `bound`
    says what its `elbo` is.
    """
    data = posterior.data
    # Of its own for every data set and fit, so that their spread holds that of the estimate.
    noise = SEEDS * (config.problem.seed or 0) + config.seed
    elbo = posterior.elbo(draws=config.eval_draws, seed=noise)
    num_latents = posterior.model.num_latents(data.cardinalities)
    found: dict[str, Any] = {
        "bound": posterior.guide.bound,
        "elbo": elbo.mean,
        "standard_error": elbo.standard_error,
        "num_latents": num_latents,
    }
    if (exact := log_evidence(config, data)) is not None:
        gap = exact - elbo.mean
        if config.problem.name is ProblemName.GRE:  # where it has an estimate without data terms
            known = gre_posterior(data.values["x"], scales=gre_scales(config.problem))
            gap = gre_gap(posterior.guide, data, known, draws=config.eval_draws, seed=noise)
        found |= {"log_evidence": exact, "gap": gap, "gap_per_latent": gap / num_latents}
    if config.importance_draws and posterior.guide.bound != "SIVI bound":
        weighted = importance_bound(
            posterior.guide,
            data,
            draws=config.importance_draws,
            blocks=IMPORTANCE_BLOCKS,
            seed=noise,
        )
        found |= {
            "importance_bound": weighted.bound,
            "importance_error": weighted.standard_error,
            "importance_size": weighted.effective_sample_size,
        }
    return found


def log_evidence(config: ExperimentConfig, data: PlateData) -> float | None:
    """The exact log evidence in nats; None where it is not known in closed form."""
    problem = config.problem
    if problem.name is ProblemName.GRE:
        return gre_posterior(data.values["x"], scales=gre_scales(problem)).log_evidence
    if problem.name in SIMULATED:
        return SIMULATED[problem.name].exact_evidence(data)
    return None


def metric_names(config: ExperimentConfig) -> tuple[str, ...]:
    """The numbers in `metrics.json` of the runs of a config."""
    problem = SIMULATED.get(config.problem.name)
    known = problem is not None and problem.evidence is not None
    names = [
        ("elbo", True),
        ("standard_error", True),
        ("seconds", True),
        ("steps", True),
        ("num_parameters", True),
        ("num_latents", True),
        ("log_evidence", known),
        ("gap", known),
        ("gap_per_latent", known),
        ("importance_bound", config.importance_draws > 0),
        ("importance_error", config.importance_draws > 0),
        ("importance_size", config.importance_draws > 0),
        ("start_gradient_variance", config.gradient_batches > 0),
        ("final_gradient_variance", config.gradient_batches > 0),
    ]
    return tuple(name for name, there in names if there)
