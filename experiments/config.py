"""What can be set about a run: the schema of the files in `configs/`, with its defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from experiments.checks import check_positive, check_seed, check_used, filled
from experiments.choices import (
    Accelerator,
    EncodingsName,
    FlowName,
    LoggerName,
    Precision,
    ProblemName,
    Strategy,
)
from pavi import AffineFlow, FreeEncodings, MAFFlow, NSFFlow, Optimization, ReducedELBO
from pavi.guides.dependence import Dependence
from pavi.objectives.reduced_elbo import Gradient
from pavi.training.optimization import Schedule

# Fields that only some choices use are None under the others; these are their defaults.
PROBLEM_FIELDS: Mapping[ProblemName, Mapping[str, Any]] = {
    ProblemName.GRE: {"groups": 300, "obs": 50, "dim": 2, "scales": (0.5, 0.5, 0.1), "seed": 0},
    ProblemName.CHEM97: {},
    ProblemName.INSTEVAL: {},
}
FLOW_FIELDS: Mapping[FlowName, Mapping[str, Any]] = {
    FlowName.AFFINE: {},
    FlowName.AFFINE_FULL: {},
    FlowName.MAF: {f.name: f.default for f in dataclasses.fields(MAFFlow)},
    FlowName.NSF: {f.name: f.default for f in dataclasses.fields(NSFFlow)},
}


@dataclass
class ProblemConfig:
    """A model with data.

    Args:
        name: Gaussian random effects, which are simulated, or a real data set.
        groups: Of GRE.
        obs: Observations per group of GRE.
        dim: The dimension of an observation of GRE.
        scales: Three standard deviations of GRE: of the population, the groups, the observations.
        seed: Of the simulation of GRE.
    """

    name: ProblemName = ProblemName.GRE
    groups: int | None = None
    obs: int | None = None
    dim: int | None = None
    scales: list[float] | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        check_used("problem", vars(self), PROBLEM_FIELDS[self.name])
        check_positive("problem", vars(self), "groups", "obs", "dim", "scales")
        check_seed("problem.seed", self.seed)
        if self.scales is not None and len(self.scales) != 3:
            raise ValueError(f"problem.scales must be three numbers, got {self.scales}.")


@dataclass
class FlowConfig:
    """The flow of every site.

    Args:
        name: Which; `affine_full` lets the dimensions of one value be correlated.
        transforms: Autoregressive layers of `maf` and `nsf`.
        hidden: The widths of the hidden layers of each.
        bins: Of the splines of `nsf`.
    """

    name: FlowName = FlowName.AFFINE
    transforms: int | None = None
    hidden: list[int] | None = None
    bins: int | None = None

    def __post_init__(self) -> None:
        check_used("guide.flow", vars(self), FLOW_FIELDS[self.name])
        check_positive("guide.flow", vars(self), "transforms", "hidden", "bins")

    def build(self) -> AffineFlow | MAFFlow | NSFFlow:
        """The flow."""
        values = filled(vars(self), FLOW_FIELDS[self.name])
        arguments: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        if self.name is FlowName.MAF:
            return MAFFlow(**arguments)
        if self.name is FlowName.NSF:
            return NSFFlow(**arguments)
        return AffineFlow(full=self.name is FlowName.AFFINE_FULL)


@dataclass
class GuideConfig:
    """The variational family; see `pavi.PlateAmortizedGuide`."""

    encodings: EncodingsName = EncodingsName.FREE
    encoding_dim: int = FreeEncodings.dim
    flow: FlowConfig = field(default_factory=FlowConfig)
    dependence: Dependence = Dependence.FAITHFUL

    def __post_init__(self) -> None:
        check_positive("guide", vars(self), "encoding_dim")


@dataclass
class TrainConfig:
    """How the guide is fitted; see `pavi.ReducedELBO` and `pavi.Optimization`.

    Args:
        steps: The number of steps.
        draws: Joint draws of the latent sites per step.
        gradient: How the entropy is differentiated.
        learning_rate: Of the weights that rows share.
        table_rate: Of the encoding tables; the same if null.
        schedule: How the learning rates change over the run.
        clip_norm: The largest norm of a gradient; no clipping if null.
        batch: Rows to draw per plate and step. Null leaves the choice to `pavi`, `{}` takes all.
        checkpoint_every: Steps between checkpoints; a tenth of the run if null.
        log_every: Steps between two lines of the log.
    """

    steps: int = 2000
    draws: int = ReducedELBO.draws
    gradient: Gradient = Gradient.PATH
    learning_rate: float = Optimization.learning_rate
    table_rate: float | None = None
    schedule: Schedule = Schedule.COSINE
    clip_norm: float | None = None
    batch: dict[str, int] | None = None
    checkpoint_every: int | None = None
    log_every: int = 10

    def __post_init__(self) -> None:
        rates = ("learning_rate", "table_rate", "clip_norm")
        counts = ("steps", "draws", "checkpoint_every", "log_every")
        check_positive("train", vars(self), *counts, *rates)


@dataclass
class TrainerConfig:
    """Devices, in Lightning's words."""

    accelerator: Accelerator = Accelerator.AUTO
    devices: int = 1
    strategy: Strategy = Strategy.AUTO

    def __post_init__(self) -> None:
        check_positive("trainer", vars(self), "devices")


@dataclass
class ExperimentConfig:
    """A run.

    Args:
        problem: The model and its data.
        guide: The variational family.
        train: How it is fitted.
        trainer: On which devices.
        logger: Where the course of the run is written to.
        precision: The floating-point type of data and parameters.
        seed: Of initial weights, batches and noise. It has no default.
        eval_draws: Draws for the final ELBO.
        out: The run folder; `runs/<name of the file>-<seed>` if null.
    """

    problem: ProblemConfig = field(default_factory=ProblemConfig)
    guide: GuideConfig = field(default_factory=GuideConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerName = LoggerName.CSV
    precision: Precision = Precision.FLOAT32
    seed: int = MISSING
    eval_draws: int = 128
    out: str | None = None

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        if self.eval_draws < 2:
            raise ValueError(
                f"eval_draws must be at least 2 for a standard error, got {self.eval_draws}."
            )
        # Only now is every choice known. (OmegaConf makes each section once more, by itself, to
        # learn its defaults: a section may not fill in what depends on another field.)
        flow, train = self.guide.flow, self.train
        vars(self.problem).update(filled(vars(self.problem), PROBLEM_FIELDS[self.problem.name]))
        vars(flow).update(filled(vars(flow), FLOW_FIELDS[flow.name]))
        train.checkpoint_every = train.checkpoint_every or max(1, train.steps // 10)
