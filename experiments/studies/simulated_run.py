"""A run that trains over simulated data sets and is tried on unseen ones.

python -m experiments.studies.simulated_run CONFIG --datasets 5 seed=0 out=FOLDER

A study starts it as such a program where it has several devices, since Lightning starts it again
for each of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning.loggers import Logger

import pavi
from experiments.build import build_data, build_model
from experiments.config import ExperimentConfig
from experiments.config_file import load
from experiments.course import course_figures
from experiments.ends import exit_code
from experiments.evaluation import accuracy
from experiments.fit_stage import FitStage
from experiments.loggers import check_logger, log_end
from experiments.problems.simulated import SIMULATED
from experiments.provenance import command_line
from experiments.run_folder import RunFolder
from pavi.amortization import GuideFactory, over_data_sets
from pavi.training import History, exits_on_signals

DATASETS = 32  # per step and device, as in ADAVI's recipe


def carry_out_simulated(
    config: ExperimentConfig, *, datasets: int, command: Sequence[str]
) -> Mapping[str, Any]:
    """Train once, condition on every data set, and write what came of it.

    A complete run only returns its metrics; one that was stopped goes on from its checkpoint. On
    several devices each draws data sets and noise of its own, and gradients are averaged.

    Args:
        config: Of the run.
        datasets: The number of data sets to try it on.
        command: The command line, for the record.

    Returns:
        The metrics; none on other ranks than the first.

    Raises:
        ValueError: If it cannot run as its config says.
        NonFiniteLossError: If the loss becomes NaN or infinite.
    """
    assert config.out is not None
    folder = RunFolder(Path(config.out))
    check_logger(config.logger)
    folder.check(config)
    cardinalities = SIMULATED[config.problem.name].cardinalities(config.problem.sizes)
    model, dtype = build_model(config.problem), getattr(torch, config.precision)
    stream = pavi.SimulatedDataModule(
        model, cardinalities, datasets=DATASETS, seed=config.seed, dtype=dtype
    )
    module = over_data_sets(
        stream,
        cast(GuideFactory, config.guide.factory()),
        seed=config.seed,
        objective=config.train.build_objective(),
        warm_up=config.train.build_warm_up(),
        optimization=config.train.build_optimization(),
        dtype=dtype,
    )
    stage = FitStage.of(config, folder, History(), latents=model.num_latents(cardinalities))

    def work(logger: Logger) -> dict[str, Any]:
        stage.fit(module, stream)
        if not stage.first:
            return {}
        history = stage.history.state_dict()
        guide = module.guide.cpu()
        assert isinstance(guide, pavi.PlateAmortizedGuide)
        amortized = pavi.AmortizedPosterior(model, guide, history=history)
        once = {
            "train_seconds": history["seconds"][-1],
            "num_parameters": sum(p.numel() for p in guide.parameters()),
        }
        first = config.problem.seed
        assert first is not None
        tried = [_tried(config, amortized, seed=first + number) for number in range(datasets)]
        measured = [k for k, v in tried[0].items() if isinstance(v, int | float) and k != "data"]
        means = {name: sum(one[name] for one in tried) / datasets for name in measured}
        end = {**once, **means}
        log_end(logger, end, course_figures(history, {}), step=config.train.steps)
        return {**once, "datasets": tried}

    return stage.carry_out(work, command=command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; the exit codes are those of `experiments.run`."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="python -m experiments.studies.simulated_run")
    parser.add_argument("config", help="the config of a run")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as seed=0")
    parser.add_argument("--datasets", type=int, required=True, help="how many to try it on")
    parsed = parser.parse_intermixed_args(given)
    command = command_line("experiments.studies.simulated_run", given)

    def run() -> None:
        config = load(parsed.config, parsed.overrides)
        carry_out_simulated(config, datasets=parsed.datasets, command=command)

    with exits_on_signals():
        return exit_code(run, where=lambda: "Its checkpoints are in its folder.", command=command)


def _tried(
    config: ExperimentConfig, amortized: pavi.AmortizedPosterior, *, seed: int
) -> dict[str, Any]:
    """The ELBO and more on one data set."""
    unseen = replace(config, problem=replace(config.problem, seed=seed))
    data = build_data(unseen.problem, amortized.model, dtype=getattr(torch, config.precision))
    began = time.perf_counter()
    posterior = amortized.condition(data)
    seconds = time.perf_counter() - began
    return {"data": seed, "seconds": seconds, **accuracy(unseen, posterior)}


if __name__ == "__main__":
    sys.exit(main())
