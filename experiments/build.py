"""From a config to the objects of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from lightning_fabric.utilities.exceptions import MisconfigurationException

from experiments.choices import ProblemName
from experiments.config import ExperimentConfig, ProblemConfig, RunConfig, TrainerConfig
from experiments.guide_config import GuideConfig
from experiments.problems import chem97, insteval
from experiments.problems.simulated import SIMULATED
from pavi import (
    HierarchicalModel,
    PlateData,
    PlateDataModule,
    VariationalInference,
)
from pavi.data import Shard, default_batch, default_shard_batch
from pavi.data.module import PlateBatches
from pavi.guides import Guide
from pavi.models import gaussian_random_effects
from pavi.training import (
    ShardedCheckpoints,
    WholeCheckpoints,
    initialise_guide,
    rank_and_ranks,
    strategy_of,
)

REAL_DATA = {ProblemName.CHEM97: chem97, ProblemName.INSTEVAL: insteval}


@final
@dataclass(frozen=True)
class Experiment:
    """All that a run needs besides a trainer.

    Args:
        model: The template.
        data: Its data.
        module: The guide with its objective and optimiser.
        stream: The plate-batches.
        batch: The rows that are drawn per plate and step.
    """

    model: HierarchicalModel
    data: PlateData
    module: VariationalInference
    stream: PlateDataModule
    batch: dict[str, int]


def build(config: ExperimentConfig) -> Experiment:
    """Build a run; nothing is written.

    Raises:
        ValueError: If the config does not fit the model or the data.
    """
    model = build_model(config.problem)
    data = build_data(config.problem, model, dtype=getattr(torch, config.precision))
    shard = build_shard(config.trainer, data)
    guide = build_guide(config.guide, data, seed=config.seed, shard=shard)
    train = config.train
    module = VariationalInference(
        guide,
        objective=train.build_objective(),
        optimization=train.build_optimization(),
        warm_up=train.build_warm_up(),
        shard=shard,
    )
    batch = train.batch
    if batch is None:
        batch = default_batch(data) if shard is None else default_shard_batch(data, shard)
    stream = PlateDataModule(data, batch=batch, blocks=train.blocks, seed=config.seed, shard=shard)
    if guide.whole:  # Only a batch shows whether it is one that such a guide can take.
        with torch.no_grad():
            guide(
                PlateBatches(data, batch=batch, blocks=train.blocks, seed=config.seed)[0], draws=1
            )
    return Experiment(model, data, module, stream, dict(batch))


def build_model(problem: ProblemConfig) -> HierarchicalModel:
    """The template model."""
    if problem.name is ProblemName.GRE:
        assert problem.dim is not None
        return gaussian_random_effects(dim=problem.dim, scales=gre_scales(problem))
    if problem.name in SIMULATED:
        return SIMULATED[problem.name].model(problem.sizes)
    return REAL_DATA[problem.name].model()


def build_data(
    problem: ProblemConfig, model: HierarchicalModel, *, dtype: torch.dtype
) -> PlateData:
    """The data. Simulated ones are the same numbers at either precision."""
    if problem.name in SIMULATED:
        assert problem.seed is not None
        simulated = SIMULATED[problem.name]
        return simulated.data(model, problem.sizes, seed=problem.seed, dtype=dtype)
    return REAL_DATA[problem.name].data(model, dtype=dtype)


def gre_scales(problem: ProblemConfig) -> tuple[float, float, float]:
    """The standard deviations of Gaussian random effects."""
    assert problem.scales is not None
    s_mu, s_g, s_x = problem.scales
    return s_mu, s_g, s_x


def build_shard(trainer: TrainerConfig, data: PlateData) -> Shard | None:
    """The rows of this process, if rows are split.

    Raises:
        ValueError: If they cannot be, or the machine lacks the devices.
    """
    if trainer.shard is None:
        return None
    rank, ranks = place_of(trainer)
    return Shard.of(data, trainer.shard, rank=rank, ranks=ranks)


def place_of(trainer: TrainerConfig) -> tuple[int, int]:
    """The number of this process of a run, and how many there will be.

    Raises:
        ValueError: If the machine lacks the devices.
    """
    with told_what_lacks(trainer):
        return rank_and_ranks(
            devices=trainer.devices,
            nodes=trainer.nodes,
            accelerator=str(trainer.accelerator),
        )


def build_guide(
    guide: GuideConfig, data: PlateData, *, seed: int, shard: Shard | None = None
) -> Guide:
    """The guide, with initial weights that are a function of the seed."""
    part = data if shard is None else shard.data
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        built = guide.build(data.model, part.cardinalities).to(data.like.dtype)
    initialise_guide(built, data, shard)
    return built


def build_trainer(
    config: RunConfig,
    callbacks: Sequence[pl.Callback],
    *,
    checkpoints: bool = True,
    sharded: bool = False,
) -> pl.Trainer:
    """The trainer, without loggers: these open files, and come when everything else stands.

    Args:
        config: Of the run.
        callbacks: Its callbacks.
        checkpoints: Whether one of them writes checkpoints.
        sharded: Whether every process has rows of its own.

    Raises:
        ValueError: If the machine lacks the devices.
    """
    devices = config.trainer
    strategy: Any = str(devices.strategy)
    if devices.devices * devices.nodes > 1:
        strategy = strategy_of(devices=devices.devices, nodes=devices.nodes, sharded=sharded)
    with told_what_lacks(devices):
        return pl.Trainer(
            max_steps=config.train.steps,
            accelerator=str(devices.accelerator),
            devices=devices.devices,
            num_nodes=devices.nodes,
            strategy=strategy,
            callbacks=list(callbacks),
            logger=False,
            plugins=[ShardedCheckpoints() if sharded else WholeCheckpoints()],
            enable_checkpointing=checkpoints,
            log_every_n_steps=config.train.log_every,
            enable_progress_bar=False,
            enable_model_summary=False,
        )


def check_processes(trainer: TrainerConfig) -> None:
    """See that torchrun, if it started this process, started as many as the run has.

    Lightning takes a run on one device for one process, whoever else there is.

    Raises:
        ValueError: If it started more or fewer.
    """
    if not dist.is_torchelastic_launched():
        return
    started, ranks = int(os.environ["WORLD_SIZE"]), trainer.devices * trainer.nodes
    if started != ranks:
        raise ValueError(
            f"torchrun started {started} processes, and trainer.devices={trainer.devices} times "
            f"trainer.nodes={trainer.nodes} is {ranks}: every process would take the run for its "
            "own. Set these to the processes of a node (--nproc-per-node) and to the nodes "
            "(--nnodes)."
        )


@contextmanager
def told_what_lacks(devices: TrainerConfig) -> Iterator[None]:
    """Say what was asked for where a machine does not have it.

    Raises:
        ValueError: If it has not.
    """
    try:
        yield
    except (MisconfigurationException, RuntimeError) as error:
        raise ValueError(
            f"trainer: this machine cannot give accelerator={devices.accelerator}, "
            f"devices={devices.devices}, strategy={devices.strategy}: {error}"
        ) from error
