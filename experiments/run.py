"""One run: fit, evaluate, and keep everything in a folder.

python -m experiments.run configs/gre/pavi_f.yaml train.steps=500 problem.seed=3
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pytorch_lightning as pl

from experiments.build import Experiment, build, build_history, build_trainer, gre_scales
from experiments.config import ExperimentConfig
from experiments.config_file import load
from experiments.course import course_figures
from experiments.ends import ENDS, told
from experiments.evaluation import evaluate
from experiments.gap_course import GapCourse
from experiments.loggers import LoggerStartError, check_logger, log_figures, opened_logger
from experiments.parcellation import run as parcellation
from experiments.parcellation.config import is_parcellation
from experiments.provenance import command_line, provenance
from experiments.run_folder import RunFolder
from experiments.run_identity import RunIdentity, stored_run_id
from pavi import Posterior
from pavi.files import DiskFullError
from pavi.models import gre_posterior
from pavi.training import (
    Checkpoints,
    FitProgress,
    History,
    NonFiniteLossError,
    StepLog,
    StopSignals,
    assembled,
    checkpoint_to_resume,
    compiled,
    exits_on_signals,
    fit_until_stopped,
    latest_checkpoint,
)
from pavi.training.quiet import quiet


@final
@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start or to go on; nothing is written yet.

    Args:
        config: Of the run.
        folder: Where it will be written to.
        experiment: The model, the data and the module.
        trainer: The trainer.
        history: The course of the ELBO.
        course: That of the gap, if it is measured.
        identity: The id of the run, in its checkpoints.
        stop: What ends it on a signal.
        resume: The checkpoint to go on from, if there is one.
    """

    config: ExperimentConfig
    folder: RunFolder
    experiment: Experiment
    trainer: pl.Trainer
    history: History
    course: GapCourse | None
    identity: RunIdentity
    stop: StopSignals
    resume: Path | None


def prepare(config: ExperimentConfig, *, progress: bool = False) -> Prepared:
    """Build everything that a run needs.

    Args:
        config: Of the run.
        progress: Whether it will show a bar.

    Raises:
        ValueError: If the config does not fit the model, the data or the machine, the folder
            holds another run, or its checkpoint is damaged.
    """
    assert config.out is not None
    assert config.train.checkpoint_every is not None
    folder = RunFolder(Path(config.out))
    check_logger(config.logger)
    folder.check(config)
    experiment = build(config)
    resume = checkpoint_to_resume(folder.checkpoints)
    history, identity = build_history(config.train.steps), RunIdentity()
    stop = StopSignals(keeps=True)
    num_latents = experiment.model.num_latents(experiment.data.cardinalities)
    course = None
    callbacks: list[pl.Callback] = [history, identity, StepLog(num_latents=num_latents), stop]
    if config.course:
        course = GapCourse(
            experiment.module.guide,
            experiment.data,
            gre_posterior(experiment.data.values["x"], scales=gre_scales(config.problem)),
            history=history,
            points=config.course,
        )
        callbacks.append(course)
    every = config.train.checkpoint_every
    callbacks.append(Checkpoints(folder.checkpoints, every=every, stop=stop))
    if progress:
        callbacks.append(FitProgress())
    with quiet():
        sharded = experiment.module.sharding is not None
        trainer = build_trainer(config, callbacks, sharded=sharded)
    return Prepared(config, folder, experiment, trainer, history, course, identity, stop, resume)


def carry_out(prepared: Prepared, *, command: Sequence[str] = ()) -> dict[str, Any]:
    """Fit, evaluate and write; a run that is complete only returns its metrics.

    Args:
        prepared: The run.
        command: The command line, for the record.

    Returns:
        The final metrics; none on other ranks than the first.

    Raises:
        LoggerStartError: If the logger does not start; no folder is left.
        NonFiniteLossError: If the loss becomes NaN or infinite; the last checkpoint stays.
        DiskFullError: If the disk is full; the last checkpoint stays.
        FitStopped: If SIGTERM or SIGUSR1 came, with a checkpoint of the step in which it came.
        ProcessLostError: If another process of the run was lost.
    """
    config, folder, trainer = prepared.config, prepared.folder, prepared.trainer
    if (done := folder.metrics) is not None:
        return done
    first = trainer.is_global_zero
    made = first and folder.create(config, provenance(seed=config.seed, command=command))
    if first:
        prepared.identity.run_id = _run_id(prepared)
    try:
        return _logged_run(prepared, first=first)
    except LoggerStartError:
        if made:
            folder.remove()
        raise


def _run_id(prepared: Prepared) -> str:
    """That of the run so far, that which a W&B agent gives, or one of our own."""
    if prepared.resume is not None and (kept := stored_run_id(prepared.resume)):
        return kept
    return os.environ.get("WANDB_RUN_ID") or prepared.folder.provenance["run_id"]


def _logged_run(prepared: Prepared, *, first: bool) -> dict[str, Any]:
    """Fit, evaluate and write, with the logger open."""
    config, folder, trainer = prepared.config, prepared.folder, prepared.trainer
    experiment, run_id = prepared.experiment, prepared.identity.run_id
    with quiet(), opened_logger(config, folder, run_id=run_id, first=first) as logger:
        trainer.loggers = [logger]
        with compiled(experiment.module.guide, enabled=config.train.compile):
            fit_until_stopped(
                trainer,
                experiment.module,
                experiment.stream,
                stop=prepared.stop,
                resume=prepared.resume,
            )
        guide = experiment.module.guide.cpu()
        if (shard := experiment.stream.shard) is not None:
            guide = assembled(guide, shard)
        if not first:
            return {}
        history = prepared.history.state_dict()
        posterior = Posterior(guide, experiment.data, history=history)
        posterior.save(folder.posterior)
        metrics = evaluate(config, experiment, posterior)
        if prepared.course is not None:
            metrics["course"] = prepared.course.state_dict()
        final = {f"final/{k}": v for k, v in metrics.items() if isinstance(v, int | float)}
        if "gap" in metrics:
            final["val/gap"] = metrics["gap"]
        logger.log_metrics(final, step=config.train.steps)
        log_figures(logger, course_figures(history, metrics), step=config.train.steps)
        logger.save()
    folder.write_metrics(metrics)
    return metrics


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line.

    Returns:
        The exit code: 0, 1 if the run failed, 2 if what was asked for is wrong, 75 if the same
        command can go on after a signal or the loss of a process, 130 on Ctrl-C.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="python -m experiments.run", description="One run.")
    parser.add_argument("config", help="a YAML file of configs/, or the config.yaml of a run")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as train.steps=9")
    parsed = parser.parse_args(given)
    with exits_on_signals():
        if is_parcellation(parsed.config):
            return parcellation.main(given)
        return _run(parsed.config, parsed.overrides, command_line("experiments.run", given))


def _run(file: str, overrides: Sequence[str], command: Sequence[str]) -> int:
    """Run, and tell how it ended."""
    prepared = None
    try:
        config = load(file, overrides)
        prepared = prepare(config, progress=True)
        if prepared.resume is not None and prepared.folder.metrics is None:
            print(f"going on from {prepared.resume}", file=sys.stderr)
        metrics = carry_out(prepared, command=command)
    except ValueError as error:
        if prepared is not None and not isinstance(error, LoggerStartError):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (NonFiniteLossError, DiskFullError) as error:
        print(f"error: {error}\n{_last_checkpoint(prepared)}", file=sys.stderr)
        return 1
    except ENDS as end:
        return told(end, where=_last_checkpoint(prepared), command=command)
    if metrics:
        print(json.dumps({"out": config.out, **metrics}))
    return 0


def _last_checkpoint(prepared: Prepared | None) -> str:
    """Where a run that stopped would go on, as a sentence."""
    if prepared is None:
        return "It had not started yet."
    if last := latest_checkpoint(prepared.folder.checkpoints):
        return f"The last checkpoint is {last}."
    every = prepared.config.train.checkpoint_every
    return f"There is no checkpoint yet (one is written every {every} steps)."


if __name__ == "__main__":
    sys.exit(main())
