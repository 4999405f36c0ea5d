"""The points of a sweep: what Optuna sees of them, and what the command line of a run does."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from experiments.build import build
from experiments.choices import LoggerName
from experiments.config import ExperimentConfig
from experiments.config_file import load, load_as
from experiments.evaluation import metric_names
from experiments.sweeps.config import DimensionConfig, Method, PrunerName, SweepConfig

RANDOM_POINTS = 16  # to check before a start
OWN = ("seed", "out")  # keys that the sweep itself sets

Point = Mapping[str, Any]


def load_sweep(path: Path | str, overrides: Sequence[str] = ()) -> SweepConfig:
    """The config of a sweep, seen to fit the runs that it will start.

    Args:
        path: A YAML file.
        overrides: `key=value`, with dots between levels.

    Raises:
        ValueError: If a key or a value of it is wrong, or one of its space or its overrides.
    """
    config = load_as(SweepConfig, path, overrides)
    if config.out is None:
        config.out = f"runs/sweeps/{Path(path).stem}"
    check_space(config)
    return config


def distributions(config: SweepConfig) -> dict[str, BaseDistribution]:
    """The space as Optuna has it; values of any kind are texts there."""
    return {key: _distribution(dimension) for key, dimension in config.space.items()}


def grid(config: SweepConfig) -> list[Point]:
    """Every combination of values, the last key first."""
    values = [[text(v) for v in d.values or []] for d in config.space.values()]
    return [dict(zip(config.space, chosen, strict=True)) for chosen in itertools.product(*values)]


def run_overrides(config: SweepConfig, point: Point, *, seed: int, out: Path) -> list[str]:
    """The overrides of one run."""
    chosen = [f"{key}={text(value)}" for key, value in point.items()]
    return [*config.overrides, *chosen, f"seed={seed}", f"out={out}"]


def run_config(config: SweepConfig, point: Point) -> ExperimentConfig:
    """The config of the runs of a point, of the first seed."""
    return load(config.config, run_overrides(config, point, seed=config.seeds[0], out=Path("run")))


def first_point(config: SweepConfig) -> Point:
    """Every dimension at its first value or its lower end."""
    return {key: _ends(dimension)[0] for key, dimension in config.space.items()}


def text(value: Any) -> str:
    """A value as an override has it."""
    return value if isinstance(value, str) else json.dumps(value)


def check_space(config: SweepConfig) -> None:
    """See whether every run of a sweep could be started.

    Of a grid that is every point; else each value or end of every dimension, with the others at
    their first one, and some points at random.

    Raises:
        ValueError: If not.
    """
    for override in config.overrides:
        key = override.partition("=")[0]
        if key in OWN or key in config.space:
            raise ValueError(f"overrides: {key} is set by the sweep; take it out of overrides.")
    for key in OWN:
        if key in config.space:
            raise ValueError(f"space: {key} cannot be searched over; seeds=[...] repeats a run.")
    first = run_config(config, first_point(config))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for point in _points_to_check(config):
        run_config(config, point)
    names = metric_names(first)
    if config.minimise.removeprefix("-") not in names:
        raise ValueError(
            f"minimise={config.minimise} is no metric of these runs, nor one with a minus; "
            f"metrics are {list(names)}."
        )
    if config.prune.name is not PrunerName.NONE and first.logger is not LoggerName.CSV:
        raise ValueError(
            f"prune.name={config.prune.name} reads the log of a run and needs logger=csv, got "
            f"logger={first.logger}."
        )
    build(first)  # the names of plates and sites


def _ends(dimension: DimensionConfig) -> list[Any]:
    if dimension.values is not None:
        return [text(value) for value in dimension.values]
    kind = int if dimension.integer else float
    return [kind(end) for end in (dimension.low, dimension.high) if end is not None]


def _points_to_check(config: SweepConfig) -> list[Point]:
    if config.method is Method.GRID:
        return grid(config)
    first = first_point(config)
    ends = [{**first, key: end} for key, d in config.space.items() for end in _ends(d)]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [study.ask(distributions(config)).params for _ in range(RANDOM_POINTS)]
    return [*ends, *drawn]


def _distribution(dimension: DimensionConfig) -> BaseDistribution:
    if dimension.values is not None:
        return CategoricalDistribution([text(value) for value in dimension.values])
    assert dimension.low is not None
    assert dimension.high is not None
    if dimension.integer:
        step = 1 if dimension.step is None else int(dimension.step)
        low, high = int(dimension.low), int(dimension.high)
        return IntDistribution(low, high, log=dimension.log, step=step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
