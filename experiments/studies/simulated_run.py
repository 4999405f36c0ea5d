"""A run that trains over simulated data sets and is tried on unseen ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch

import pavi
from experiments.build import build_data, build_model
from experiments.choices import LoggerName
from experiments.config import ExperimentConfig
from experiments.evaluation import accuracy
from experiments.problems.simulated import SIMULATED
from experiments.provenance import provenance
from experiments.run_folder import RunFolder
from experiments.studies.plan import PlannedRun
from pavi.amortization import GuideFactory

DATASETS = 32  # per step, as in ADAVI's recipe


def carry_out_simulated(run: PlannedRun, *, command: Sequence[str]) -> Mapping[str, Any]:
    """Train once, condition on every data set, and write what came of it.

    A complete run only returns its metrics; one that was stopped goes on from its checkpoint.

    Args:
        run: The run.
        command: The command line of the study, for the record.

    Raises:
        ValueError: If it cannot run as its config says.
        NonFiniteLossError: If the loss becomes NaN or infinite.
    """
    config, folder = run.config, RunFolder(run.folder)
    assert config.problem.seed is not None
    assert run.datasets is not None
    folder.check(config)
    if config.trainer.devices > 1 or config.logger is not LoggerName.CSV:
        raise ValueError(
            "a guide that is trained over simulated data sets has one device and logs its metrics "
            f"only; got trainer.devices={config.trainer.devices} and logger={config.logger}."
        )
    if (done := folder.metrics) is not None:
        if len(done["datasets"]) != run.datasets:
            raise ValueError(
                f"{run.folder} was tried on {len(done['datasets'])} data sets, not "
                f"{run.datasets}; delete it, or choose another folder with --out."
            )
        return done
    folder.create(config, provenance(seed=config.seed, command=command))
    model = build_model(config.problem)
    amortized = pavi.amortize(
        model,
        SIMULATED[config.problem.name].cardinalities(config.problem.sizes),
        guide=cast(GuideFactory, config.guide.factory()),
        objective=config.train.build_objective(),
        warm_up=config.train.build_warm_up(),
        optimization=config.train.build_optimization(),
        datasets=DATASETS,
        steps=config.train.steps,
        seed=config.seed,
        checkpoints=folder.checkpoints,
        progress=False,
    )
    metrics: dict[str, Any] = {
        "train_seconds": amortized.history["seconds"][-1],
        "num_parameters": sum(p.numel() for p in amortized.guide.parameters()),
        "datasets": [
            _tried(config, amortized, seed=config.problem.seed + number)
            for number in range(run.datasets)
        ],
    }
    folder.write_metrics(metrics)
    return metrics


def _tried(
    config: ExperimentConfig, amortized: pavi.AmortizedPosterior, *, seed: int
) -> dict[str, Any]:
    """The ELBO and more on one data set."""
    unseen = replace(config, problem=replace(config.problem, seed=seed))
    data = build_data(unseen.problem, amortized.model, dtype=torch.float32)
    began = time.perf_counter()
    posterior = amortized.condition(data)
    seconds = time.perf_counter() - began
    return {"data": seed, "seconds": seconds, **accuracy(unseen, posterior)}
