"""What can be set about a sweep: the schema of the files in `configs/sweeps/`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from experiments.checks import check_positive, check_seed, check_used


class Method(StrEnum):
    """How the points of a sweep are chosen."""

    GRID = "grid"
    TPE = "tpe"


class PrunerName(StrEnum):
    """Who stops a trial that lags behind."""

    NONE = "none"
    MEDIAN = "median"
    HALVING = "halving"


class ExecutorName(StrEnum):
    """Where the processes run."""

    LOCAL = "local"
    SLURM = "slurm"


PRUNER_FIELDS: Mapping[PrunerName, Mapping[str, Any]] = {
    PrunerName.NONE: {},
    PrunerName.MEDIAN: {"after_trials": 5, "after_steps": 0},
    PrunerName.HALVING: {"after_steps": 1, "factor": 4},
}
SLURM_FIELDS: Mapping[str, Any] = {
    "partition": None,
    "account": None,
    "qos": None,
    "minutes": 60,
    "cpus": 1,
    "gpus": 0,
    "memory_gb": 8,
    "setup": None,
}


@dataclass
class DimensionConfig:
    """One key of the schema that is searched over: either `values`, or a range.

    Args:
        values: To choose from, of any kind.
        low: The lower end of a range, included.
        high: The upper end, included.
        log: Whether the range is searched on a log scale.
        integer: Whether it is one of integers.
        step: The distance of two values of the range; any if null.
    """

    values: list[Any] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False
    integer: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        ranged = [self.low is not None, self.high is not None]
        if (self.values is not None) == any(ranged) or any(ranged) != all(ranged):
            raise ValueError(
                f"a dimension has either values or both low and high, got {vars(self)}."
            )
        if self.values is not None:
            self._check_values(self.values)
        else:
            self._check_range()

    def _check_values(self, values: list[Any]) -> None:
        if not values:
            raise ValueError("values must not be empty.")
        if any(values.count(value) > 1 for value in values):
            raise ValueError(f"values must differ from each other, got {values}.")
        if self.log or self.integer or self.step is not None:
            raise ValueError("log, integer and step belong to a range, not to values.")

    def _check_range(self) -> None:
        assert self.low is not None
        assert self.high is not None
        low, high, step = self.low, self.high, self.step
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"low must be below high and both finite, got {low} and {high}.")
        if self.log and low <= 0:
            raise ValueError(f"a log scale needs a positive low, got {low}.")
        if step is not None and (self.log or not 0 < step <= high - low):
            raise ValueError(
                f"step must be positive, at most high - low, and without log; got {step}."
            )
        numbers = [low, high, 1.0 if step is None else step]
        if self.integer and any(number != int(number) for number in numbers):
            raise ValueError(f"low, high and step of integers must be integers, got {numbers}.")


@dataclass
class PruneConfig:
    """When a trial is stopped before its end, by the `train/elbo` that it logs.

    Args:
        name: `median` stops what is below the median of earlier trials at the same step,
            `halving` lets the best part of the trials go on at every rung.
        after_trials: Trials that are finished before any is stopped, of `median`.
        after_steps: Steps that every trial may take; the first rung of `halving`.
        factor: Of `halving`: one in so many goes on, so many times as far.
    """

    name: PrunerName = PrunerName.NONE
    after_trials: int | None = None
    after_steps: int | None = None
    factor: int | None = None

    def __post_init__(self) -> None:
        check_used("prune", vars(self), PRUNER_FIELDS[self.name])
        for key in ("after_trials", "after_steps"):
            check_seed(f"prune.{key}", getattr(self, key))
        if self.factor is not None and self.factor < 2:
            raise ValueError(f"prune.factor must be at least 2, got {self.factor}.")


@dataclass
class ExecutorConfig:
    """Where the runs of a sweep are computed.

    Args:
        name: `local`, processes of this machine, or `slurm`, jobs of a queue.
        partition: Of the queue.
        account: That pays.
        qos: The quality of service.
        minutes: The time of a job; one that takes longer is queued anew and goes on.
        cpus: Of a job.
        gpus: Of a job.
        memory_gb: Of a job.
        setup: Shell commands before a job.
    """

    name: ExecutorName = ExecutorName.LOCAL
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    minutes: int | None = None
    cpus: int | None = None
    gpus: int | None = None
    memory_gb: float | None = None
    setup: list[str] | None = None

    def __post_init__(self) -> None:
        used = SLURM_FIELDS if self.name is ExecutorName.SLURM else {}
        check_used("executor", vars(self), used)
        check_positive("executor", vars(self), "minutes", "cpus", "memory_gb")
        check_seed("executor.gpus", self.gpus)


@dataclass
class SweepConfig:
    """A sweep.

    Args:
        config: The YAML file of the runs.
        overrides: What holds for all of them, as `key=value`.
        space: What is searched over, by key of the config.
        method: `grid` runs every combination of values, `tpe` lets Optuna choose.
        minimise: A metric of `metrics.json`; `-elbo` maximises the ELBO.
        trials: How many points, of `tpe`.
        seeds: Of the runs of a point, whose metric is averaged.
        prune: When a trial is stopped early.
        executor: Where the runs are computed.
        seed: Of the choice of points.
        out: The folder of the sweep; `runs/sweeps/<name of the file>` if null.

    Reference:
        Bergstra et al. (2011), Algorithms for hyper-parameter optimization, for TPE.
    """

    config: str = MISSING
    overrides: list[str] = field(default_factory=list)
    space: dict[str, DimensionConfig] = MISSING
    method: Method = Method.TPE
    minimise: str = MISSING
    trials: int | None = None
    seeds: list[int] = field(default_factory=lambda: [0])
    prune: PruneConfig = field(default_factory=PruneConfig)
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    seed: int = 0
    out: str | None = None

    def __post_init__(self) -> None:
        if not self.space:
            raise ValueError("space must name at least one key to search over.")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be at least one and differ, got {self.seeds}.")
        for seed in (self.seed, *self.seeds):
            check_seed("seeds", seed)
        ranges = [key for key, dimension in self.space.items() if dimension.values is None]
        if self.method is Method.GRID:
            if ranges:
                raise ValueError(f"method=grid needs values, and {ranges} have a range.")
            if self.trials is not None:
                raise ValueError(
                    f"trials={self.trials} means nothing to method=grid, which runs every "
                    "combination."
                )
        elif self.trials is None or self.trials < 1:
            raise ValueError(f"method=tpe needs a positive number of trials, got {self.trials}.")
