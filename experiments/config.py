"""What can be set about a run: the schema of the files in `configs/`, with its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from omegaconf import MISSING

from experiments.checks import check_positive, check_seed, check_used, defaults, filled
from experiments.choices import (
    Accelerator,
    LoggerName,
    PhaseName,
    Precision,
    ProblemName,
    Strategy,
)
from experiments.guide_config import GuideConfig
from experiments.problems.simulated import SIMULATED
from pavi import Optimization, ReducedELBO, WarmUp
from pavi.objectives import MAP, Annealed, CoolStart, Phase, Unregularised
from pavi.objectives.reduced_elbo import Gradient
from pavi.training.optimization import Schedule

# Fields that only some choices use are None under the others; these are their defaults.
PROBLEM_FIELDS: Mapping[ProblemName, Mapping[str, Any]] = {
    ProblemName.CHEM97: {},
    ProblemName.INSTEVAL: {},
    **{ProblemName(name): {**found.sizes, "seed": 0} for name, found in SIMULATED.items()},
    ProblemName.GRE: {**SIMULATED["gre"].sizes, "scales": (0.5, 0.5, 0.1), "seed": 0},
}
IMPORTANCE_BLOCKS = 20
SIZES = sorted({size for problem in SIMULATED.values() for size in problem.sizes})
PHASES: Mapping[PhaseName, type[Phase]] = {
    PhaseName.COOL_START: CoolStart,
    PhaseName.MAP: MAP,
    PhaseName.UNREGULARISED: Unregularised,
    PhaseName.ANNEALED: Annealed,
}
PHASE_FIELDS: Mapping[PhaseName, Mapping[str, Any]] = {
    PhaseName.COOL_START: defaults(CoolStart),
    PhaseName.MAP: {"until": MISSING},
    PhaseName.UNREGULARISED: {"until": MISSING},
    PhaseName.ANNEALED: {"until": MISSING},
}


@dataclass
class ProblemConfig:
    """A model with data.

    Args:
        name: A model of the paper, which is simulated, or a real data set.
        dim: The dimension of an observation.
        groups: Of GRE, the mixture and the funnel.
        obs: Observations, per group where there are groups.
        components: Of the mixture.
        networks: Of the parcellation.
        subjects: Of the parcellation.
        sessions: Of a subject.
        vertices: Of the parcellation.
        scales: Three standard deviations of GRE: of the population, the groups, the observations.
        seed: Of the simulation.
    """

    name: ProblemName = ProblemName.GRE
    dim: int | None = None
    groups: int | None = None
    obs: int | None = None
    components: int | None = None
    networks: int | None = None
    subjects: int | None = None
    sessions: int | None = None
    vertices: int | None = None
    scales: list[float] | None = None
    seed: int | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of a simulated problem."""
        return {name: getattr(self, name) for name in SIMULATED[self.name].sizes}

    def __post_init__(self) -> None:
        check_used("problem", vars(self), PROBLEM_FIELDS[self.name])
        check_positive("problem", vars(self), *SIZES, "scales")
        check_seed("problem.seed", self.seed)
        if self.scales is not None and len(self.scales) != 3:
            raise ValueError(f"problem.scales must be three numbers, got {self.scales}.")


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
        network_rate: Of the networks that compute encodings or bend flows; a sixth of it if null.
        schedule: How the learning rates change over the run.
        clip_norm: The largest norm of a gradient; any if null.
        clip_spikes: How many times the recent norm a gradient may have; any if null.
        warm_up: The phases before the ELBO, in order; none if empty.
        compile: Whether to compile the flows.
        batch: Rows to draw per plate and step. Null leaves the choice to `pavi`, `{}` takes all.
        blocks: Per plate of `batch`, the length of the runs of rows that it comes in.
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
    blocks: dict[str, int] = field(default_factory=dict)
    checkpoint_every: int | None = None
    log_every: int = 10

    def __post_init__(self) -> None:
        rates = ("learning_rate", "table_rate", "network_rate", "clip_norm", "clip_spikes")
        counts = ("steps", "draws", "checkpoint_every", "log_every")
        check_positive("train", vars(self), *counts, *rates)

    def build_objective(self) -> ReducedELBO:
        """What a step minimises."""
        return ReducedELBO(draws=self.draws, gradient=self.gradient)

    def build_optimization(self) -> Optimization:
        """Learning rates, schedule and clipping."""
        return Optimization(
            learning_rate=self.learning_rate,
            table_rate=self.table_rate,
            network_rate=self.network_rate,
            schedule=self.schedule,
            clip_norm=self.clip_norm,
            clip_spikes=self.clip_spikes,
        )

    def build_warm_up(self) -> WarmUp:
        """The warm-up."""
        return WarmUp(tuple(phase.build() for phase in self.warm_up))


@dataclass
class TrainerConfig:
    """Devices, in Lightning's words.

    Args:
        accelerator: What to compute on.
        devices: How many, on each node.
        nodes: How many machines.
        strategy: How several devices work together.
        shard: The plate whose rows are split over the devices, each with the data, encodings and
            optimiser state of its own; all rows on each if null.
    """

    accelerator: Accelerator = Accelerator.AUTO
    devices: int = 1
    nodes: int = 1
    strategy: Strategy = Strategy.AUTO
    shard: str | None = None

    def __post_init__(self) -> None:
        check_positive("trainer", vars(self), "devices", "nodes")


class RunConfig(Protocol):
    """What the config of every run has, whatever is fitted; it is a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    train: TrainConfig
    trainer: TrainerConfig
    logger: LoggerName
    seed: int


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
        importance_draws: Draws for the importance-weighted bound on the evidence; none if 0.
        course: At how many steps of GRE to measure the gap, evenly spaced on a log scale.
        gradient_batches: Batches to measure the variance of the first and the final gradient with.
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
    importance_draws: int = 0
    course: int = 0
    gradient_batches: int = 0
    out: str | None = None

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        if self.eval_draws < 2:
            raise ValueError(
                f"eval_draws must be at least 2 for a standard error, got {self.eval_draws}."
            )
        for name in ("importance_draws", "course", "gradient_batches"):
            if vars(self)[name] < 0:
                raise ValueError(f"{name} must not be negative, got {vars(self)[name]}.")
        if self.importance_draws % IMPORTANCE_BLOCKS:
            raise ValueError(
                f"importance_draws must be a multiple of {IMPORTANCE_BLOCKS}, "
                f"got {self.importance_draws}."
            )
        if self.course and self.problem.name is not ProblemName.GRE:
            raise ValueError(
                f"course={self.course} needs the exact posterior, which only problem.name=gre has."
            )
        if self.course and self.trainer.shard is not None:
            raise ValueError(
                f"course={self.course} measures the gap of a guide of all rows, and trainer.shard="
                f"{self.trainer.shard} splits them over devices until the run ends; leave out one."
            )
        # Only now is every choice known. (OmegaConf makes each section once more, by itself, to
        # learn its defaults: a section may not fill in what depends on another field.)
        train = self.train
        vars(self.problem).update(filled(vars(self.problem), PROBLEM_FIELDS[self.problem.name]))
        self.guide.complete()
        for phase in train.warm_up:
            vars(phase).update(filled(vars(phase), PHASE_FIELDS[phase.name]))
        train.build_warm_up()
        train.checkpoint_every = train.checkpoint_every or max(1, train.steps // 10)
