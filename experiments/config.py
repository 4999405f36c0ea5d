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
    PhaseName,
    Precision,
    ProblemName,
    Strategy,
)
from pavi import (
    AffineFlow,
    CouplingFlow,
    DeepSetEncodings,
    FreeEncodings,
    HybridEncodings,
    MAFFlow,
    NSFFlow,
    Optimization,
    ReducedELBO,
    SetTransformerEncodings,
    WarmUp,
)
from pavi.encodings import Encodings
from pavi.flows import Flow
from pavi.guides.dependence import Dependence
from pavi.objectives import MAP, Annealed, CoolStart, Phase, Unregularised
from pavi.objectives.reduced_elbo import Gradient
from pavi.training.optimization import Schedule


def _defaults(choice: type) -> dict[str, Any]:
    return {f.name: f.default for f in dataclasses.fields(choice)}


# Fields that only some choices use are None under the others; these are their defaults.
PROBLEM_FIELDS: Mapping[ProblemName, Mapping[str, Any]] = {
    ProblemName.GRE: {"groups": 300, "obs": 50, "dim": 2, "scales": (0.5, 0.5, 0.1), "seed": 0},
    ProblemName.CHEM97: {},
    ProblemName.INSTEVAL: {},
}
ENCODINGS_FIELDS: Mapping[EncodingsName, Mapping[str, Any]] = {
    EncodingsName.FREE: _defaults(FreeEncodings),
    EncodingsName.DEEP_SET: _defaults(DeepSetEncodings),
    EncodingsName.SET_TRANSFORMER: _defaults(SetTransformerEncodings),
    EncodingsName.HYBRID: {**_defaults(DeepSetEncodings), "start": HybridEncodings.start},
}
PHASES: Mapping[PhaseName, type[Phase]] = {
    PhaseName.COOL_START: CoolStart,
    PhaseName.MAP: MAP,
    PhaseName.UNREGULARISED: Unregularised,
    PhaseName.ANNEALED: Annealed,
}
PHASE_FIELDS: Mapping[PhaseName, Mapping[str, Any]] = {
    PhaseName.COOL_START: _defaults(CoolStart),
    PhaseName.MAP: {"until": MISSING},
    PhaseName.UNREGULARISED: {"until": MISSING},
    PhaseName.ANNEALED: {"until": MISSING},
}
FLOW_FIELDS: Mapping[FlowName, Mapping[str, Any]] = {
    FlowName.AFFINE: {},
    FlowName.AFFINE_FULL: {},
    FlowName.COUPLING: _defaults(CouplingFlow),
    FlowName.MAF: _defaults(MAFFlow),
    FlowName.NSF: _defaults(NSFFlow),
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
    """The flow of a site.

    Args:
        name: Which; `affine_full` lets the dimensions of one value be correlated.
        transforms: Layers of `coupling`, `maf` and `nsf`.
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

    def build(self) -> Flow:
        """The flow."""
        values = filled(vars(self), FLOW_FIELDS[self.name])
        arguments: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        if self.name is FlowName.COUPLING:
            return CouplingFlow(**arguments)
        if self.name is FlowName.MAF:
            return MAFFlow(**arguments)
        if self.name is FlowName.NSF:
            return NSFFlow(**arguments)
        return AffineFlow(full=self.name is FlowName.AFFINE_FULL)


@dataclass
class EncodingsConfig:
    """Where encodings come from.

    Args:
        name: Free rows, computed from data, or the sum of both; `hybrid` computes by deep sets.
        dim: The length of an encoding.
        width: Of the states of an encoder.
        hidden: The width of its hidden layers.
        embedding: The number of learned features of an observation.
        heads: Of pooling.
        inducing: Summaries that rows attend to, of `set_transformer`.
        seeds: Queries that read a group off, of `set_transformer`.
        rounds: Of messages; one for nests and four for crossings if null.
        start: The part of a run after which the free rows of `hybrid` are trained.
    """

    name: EncodingsName = EncodingsName.FREE
    dim: int | None = None
    width: int | None = None
    hidden: int | None = None
    embedding: int | None = None
    heads: int | None = None
    inducing: int | None = None
    seeds: int | None = None
    rounds: int | None = None
    start: float | None = None

    def __post_init__(self) -> None:
        check_used("guide.encodings", vars(self), ENCODINGS_FIELDS[self.name])
        self.build()

    def build(self) -> Encodings:
        """The encodings."""
        values = filled(vars(self), ENCODINGS_FIELDS[self.name])
        if self.name is EncodingsName.FREE:
            return FreeEncodings(**values)
        if self.name is EncodingsName.DEEP_SET:
            return DeepSetEncodings(**values)
        if self.name is EncodingsName.SET_TRANSFORMER:
            return SetTransformerEncodings(**values)
        start = values.pop("start")
        return HybridEncodings(DeepSetEncodings(**values), start=start)


@dataclass
class GuideConfig:
    """The variational family; see `pavi.PlateAmortizedGuide`.

    Args:
        encodings: Where encodings come from.
        flow: The flow of every site that `flows` does not name.
        flows: Per site, another flow.
        dependence: What a flow may see.
    """

    encodings: EncodingsConfig = field(default_factory=EncodingsConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    flows: dict[str, FlowConfig] = field(default_factory=dict)
    dependence: Dependence = Dependence.FAITHFUL


@dataclass
class PhaseConfig:
    """A phase of the warm-up; see `pavi.objectives.warm_up`.

    Args:
        name: Which.
        until: The part of the run at which it ends.
        noise: The standard deviation of the noise at first, of `cool_start`.
    """

    name: PhaseName = PhaseName.COOL_START
    until: float | None = None
    noise: float | None = None

    def __post_init__(self) -> None:
        check_used("train.warm_up", vars(self), PHASE_FIELDS[self.name])
        check_positive("train.warm_up", vars(self), "until", "noise")

    def build(self) -> Phase:
        """The phase."""
        values = filled(vars(self), PHASE_FIELDS[self.name])
        if values["until"] == MISSING:
            raise ValueError(
                f"train.warm_up: the phase {self.name} needs until, the part of the run at "
                "which it ends."
            )
        return PHASES[self.name](**values)


@dataclass
class TrainConfig:
    """How the guide is fitted; see `pavi.ReducedELBO` and `pavi.Optimization`.

    Args:
        steps: The number of steps.
        draws: Joint draws of the latent sites per step.
        gradient: How the entropy is differentiated.
        learning_rate: Of the weights that rows share.
        table_rate: Of the encoding tables; the same if null.
        network_rate: Of the networks that compute encodings; a third of it if null.
        schedule: How the learning rates change over the run.
        clip_norm: The largest norm of a gradient; any if null.
        clip_spikes: How many times the recent norm a gradient may have; any if null.
        warm_up: The phases before the ELBO, in order; none if empty.
        compile: Whether to compile the flows.
        batch: Rows to draw per plate and step. Null leaves the choice to `pavi`, `{}` takes all.
        checkpoint_every: Steps between checkpoints; a tenth of the run if null.
        log_every: Steps between two lines of the log.
    """

    steps: int = 2000
    draws: int = ReducedELBO.draws
    gradient: Gradient = Gradient.PATH
    learning_rate: float = Optimization.learning_rate
    table_rate: float | None = None
    network_rate: float | None = None
    schedule: Schedule = Schedule.COSINE
    clip_norm: float | None = None
    clip_spikes: float | None = Optimization.clip_spikes
    warm_up: list[PhaseConfig] = field(default_factory=list)
    compile: bool = False
    batch: dict[str, int] | None = None
    checkpoint_every: int | None = None
    log_every: int = 10

    def __post_init__(self) -> None:
        rates = ("learning_rate", "table_rate", "network_rate", "clip_norm", "clip_spikes")
        counts = ("steps", "draws", "checkpoint_every", "log_every")
        check_positive("train", vars(self), *counts, *rates)

    def build_warm_up(self) -> WarmUp:
        """The warm-up."""
        return WarmUp(tuple(phase.build() for phase in self.warm_up))


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
        encodings, train = self.guide.encodings, self.train
        vars(self.problem).update(filled(vars(self.problem), PROBLEM_FIELDS[self.problem.name]))
        vars(encodings).update(filled(vars(encodings), ENCODINGS_FIELDS[encodings.name]))
        for flow in (self.guide.flow, *self.guide.flows.values()):
            vars(flow).update(filled(vars(flow), FLOW_FIELDS[flow.name]))
        for phase in train.warm_up:
            vars(phase).update(filled(vars(phase), PHASE_FIELDS[phase.name]))
        train.build_warm_up()
        train.checkpoint_every = train.checkpoint_every or max(1, train.steps // 10)
