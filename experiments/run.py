"""One run: fit, evaluate, and keep everything in a folder.

python -m experiments.run configs/gre/pavi_f.yaml train.steps=500 problem.seed=3
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from pytorch_lightning.loggers import Logger

from experiments.build import Experiment, build, check_processes, gre_scales
from experiments.config import ExperimentConfig
from experiments.config_file import load
from experiments.course import course_figures
from experiments.ends import exit_code
from experiments.evaluation import evaluate
from experiments.fit_stage import FitStage
from experiments.gap_course import GapCourse
from experiments.loggers import LoggerStartError, check_logger, log_end
from experiments.parcellation import run as parcellation
from experiments.parcellation.config import is_parcellation
from experiments.provenance import command_line
from experiments.run_folder import RunFolder
from pavi import Posterior
from pavi.models import gre_posterior
from pavi.training import (
    History,
    assembled,
    exits_on_signals,
    latest_checkpoint,
)


@final
@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start or to go on; nothing is written yet.

    Args:
        config: Of the run.
        folder: Where it will be written to.
        experiment: The model, the data and the module.
        stage: The fit.
        course: That of the gap, if it is measured.
    """

    config: ExperimentConfig
    folder: RunFolder
    experiment: Experiment
    stage: FitStage
    course: GapCourse | None


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
    folder = RunFolder(Path(config.out))
    check_processes(config.trainer)
    check_logger(config.logger)
    folder.check(config)
    experiment = build(config)
    history, course = History(), None
    if config.course:
        course = GapCourse(
            experiment.module.guide,
            experiment.data,
            gre_posterior(experiment.data.values["x"], scales=gre_scales(config.problem)),
            history=history,
            points=config.course,
        )
    stage = FitStage.of(
        config,
        folder,
        history,
        latents=experiment.model.num_latents(experiment.data.cardinalities),
        sharded=experiment.module.sharding is not None,
        callbacks=[] if course is None else [course],
        progress=progress,
    )
    return Prepared(config, folder, experiment, stage, course)


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
    return prepared.stage.carry_out(partial(_logged_run, prepared), command=command)


def _logged_run(prepared: Prepared, logger: Logger) -> dict[str, Any]:
    """Fit, evaluate and log."""
    config, stage, experiment = prepared.config, prepared.stage, prepared.experiment
    stage.fit(experiment.module, experiment.stream)
    guide = experiment.module.guide.cpu()
    if (shard := experiment.stream.shard) is not None:
        guide = assembled(guide, shard)
    if not stage.first:
        return {}
    history = stage.history.state_dict()
    posterior = Posterior(guide, experiment.data, history=history)
    posterior.save(prepared.folder.posterior)
    metrics = evaluate(config, experiment, posterior)
    if prepared.course is not None:
        metrics["course"] = prepared.course.state_dict()
    log_end(logger, metrics, course_figures(history, metrics), step=config.train.steps)
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
    prepared: Prepared | None = None

    def run() -> None:
        nonlocal prepared
        config = load(file, overrides)
        prepared = prepare(config, progress=True)
        if prepared.stage.resume is not None and prepared.folder.metrics is None:
            print(f"going on from {prepared.stage.resume}", file=sys.stderr)
        if metrics := carry_out(prepared, command=command):
            print(json.dumps({"out": config.out, **metrics}))

    return exit_code(
        run,
        where=lambda: _last_checkpoint(prepared),
        command=command,
        refused=lambda error: prepared is None or isinstance(error, LoggerStartError),
    )


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
