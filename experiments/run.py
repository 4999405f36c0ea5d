"""One run: fit, evaluate, and keep everything in a folder.

python -m experiments.run configs/gre/pavi_f.yaml train.steps=500 problem.seed=3
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from experiments.build import Experiment, build, build_history, build_trainer, gre_scales
from experiments.choices import ProblemName
from experiments.config import ExperimentConfig
from experiments.config_file import load
from experiments.loggers import check_logger, opened_logger
from experiments.provenance import command_line, provenance
from experiments.quiet import quiet
from experiments.run_folder import RunFolder
from pavi import Posterior
from pavi.models import gre_posterior
from pavi.training import (
    FitProgress,
    NonFiniteLossError,
    check_checkpoint,
    checkpointing,
    latest_checkpoint,
)


def run(
    config: ExperimentConfig, *, command: Sequence[str] = (), progress: bool = False
) -> dict[str, Any]:
    """Carry out a run, or the rest of one that was interrupted.

    Everything is built before anything is written. A run whose folder is there goes on from its
    latest checkpoint; one that is complete only returns its metrics.

    Args:
        config: Of the run.
        command: The command line, for the record.
        progress: Whether to show a bar.

    Returns:
        The final metrics; none on other ranks than the first.

    Raises:
        ValueError: If the config does not fit the model, the data or the machine, the folder
            holds another run, or its checkpoint is damaged.
        NonFiniteLossError: If the loss becomes NaN or infinite; the last checkpoint stays.
    """
    assert config.out is not None
    folder = RunFolder(Path(config.out))
    check_logger(config.logger)
    folder.check(config)
    if (done := folder.metrics) is not None:
        return done
    experiment = build(config)
    if resume := latest_checkpoint(folder.checkpoints):
        check_checkpoint(resume)
    assert config.train.checkpoint_every is not None
    history = build_history(config.train.steps)
    callbacks: list[pl.Callback] = [
        history,
        checkpointing(folder.checkpoints, every=config.train.checkpoint_every),
    ]
    if progress:
        callbacks.append(FitProgress())
    with quiet():
        trainer = build_trainer(config, callbacks)
        if trainer.is_global_zero:
            folder.create(config, provenance(seed=config.seed, command=command))
        with opened_logger(config, folder, first=trainer.is_global_zero) as logger:
            trainer.loggers = [logger]
            trainer.fit(experiment.module, experiment.stream, ckpt_path=resume)
            if not trainer.is_global_zero:
                return {}
            kept: dict[str, Sequence[float]] = {
                "steps": history.steps,
                "seconds": history.seconds,
                "elbo": history.elbo,
            }
            posterior = Posterior(experiment.module.guide.cpu(), experiment.data, history=kept)
            posterior.save(folder.posterior)
            metrics = evaluate(config, experiment, posterior)
            final = {f"final/{k}": v for k, v in metrics.items() if isinstance(v, int | float)}
            logger.log_metrics(final, step=config.train.steps)
            logger.save()
    folder.write_metrics(metrics)
    return metrics


def evaluate(
    config: ExperimentConfig, experiment: Experiment, posterior: Posterior
) -> dict[str, Any]:
    """The ELBO on all data and the size of the problem; for GRE also the gap to the evidence."""
    elbo = posterior.elbo(draws=config.eval_draws, seed=config.seed)
    num_latents = experiment.model.num_latents(experiment.data.cardinalities)
    metrics: dict[str, Any] = {
        "elbo": elbo.mean,
        "standard_error": elbo.standard_error,
        "seconds": posterior.history["seconds"][-1],
        "steps": config.train.steps,
        "batch": experiment.batch,
        "num_parameters": sum(p.numel() for p in posterior.guide.parameters()),
        "num_latents": num_latents,
    }
    if config.problem.name is ProblemName.GRE:
        exact = gre_posterior(experiment.data.values["x"], scales=gre_scales(config.problem))
        gap = exact.log_evidence - elbo.mean
        metrics |= {
            "log_evidence": exact.log_evidence,
            "gap": gap,
            "gap_per_latent": gap / num_latents,
        }
    return metrics


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line.

    Returns:
        The exit code: 0, 1 if the run failed, 2 if what was asked for is wrong.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="python -m experiments.run", description="One run.")
    parser.add_argument("config", help="a YAML file of configs/, or the config.yaml of a run")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as train.steps=9")
    parsed = parser.parse_args(given)
    try:
        config = load(parsed.config, parsed.overrides)
        metrics = run(config, command=command_line("experiments.run", given), progress=True)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except NonFiniteLossError as error:
        print(f"error: {error}\nThe last checkpoint is in {config.out}.", file=sys.stderr)
        return 1
    if metrics:
        print(json.dumps({"out": config.out, **metrics}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
