"""The time to a gap, of training and of the whole process.

python -m benchmarks.first_gap gre --guide pavi_e --groups 30000
python -m benchmarks.first_gap chem97 --guide pavi_f --rate 0.1 --draws 4 --steps 1000

The peer of `benchmarks/peers/`: the same data, the same levels, the same options. Training does
not count the measurement of gaps; `before` is what came before it, from the start of the
interpreter on. A gap is an estimate: on `gre` from a sample of the groups and the exact posterior,
elsewhere from many draws and the evidence on record. So a level counts as reached where the gap
falls below it for good.
"""

from __future__ import annotations

import time

BEGAN = time.perf_counter()

import argparse  # noqa: E402
import copy  # noqa: E402
import math  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from typing import Any, final  # noqa: E402

import pytorch_lightning as pl  # noqa: E402

from benchmarks.peers.course import LEVELS, Clock  # noqa: E402
from benchmarks.peers.search import Setting, add_arguments, carry_out  # noqa: E402
from benchmarks.report import report  # noqa: E402
from experiments.build import Experiment, build, build_trainer  # noqa: E402
from experiments.config import ExperimentConfig  # noqa: E402
from experiments.config_file import load  # noqa: E402
from experiments.gap_course import course_steps  # noqa: E402
from experiments.gre_gap import gre_gap  # noqa: E402
from experiments.problems.evidence import load_evidence  # noqa: E402
from pavi import Posterior  # noqa: E402
from pavi.metrics import full_elbo  # noqa: E402
from pavi.models import gre_posterior  # noqa: E402
from pavi.training import NonFiniteLossError  # noqa: E402
from pavi.training.quiet import quiet  # noqa: E402

PROBLEMS = ("gre", "hv", "chem97")
DRAWS = {"hv": 2048, "chem97": 64}  # of a gap


@final
@dataclass
class Course(pl.Callback):
    """Measures gaps in the course of a fit, and ends it when time is up.

    Args:
        gap: The gap per latent at this point, in nats.
        points: At how many steps to measure, evenly spaced on a log scale.
        cap: Seconds of training.
        clock: In seconds; it stands while a gap is measured.
        before: From the start of the interpreter to that of training.
        seconds: Of training, until the last measurement.
        steps: Until the last measurement.
        course: Seconds and gap of each measurement.
    """

    gap: Callable[[], float]
    points: int
    cap: float
    clock: Clock
    before: float = math.nan
    seconds: float = 0.0
    steps: int = 0
    course: list[tuple[float, float]] = field(default_factory=list)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.before = time.perf_counter() - BEGAN
        self._due = frozenset(course_steps(self.points, trainer.max_steps).tolist())
        self._since = self.clock()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Measure, if it is time."""
        now = self.clock()
        up = self.seconds + now - self._since > self.cap
        if not up and trainer.global_step not in self._due:
            return
        self.seconds += now - self._since
        self.steps = trainer.global_step
        self.course.append((self.seconds, self.gap()))
        trainer.should_stop = trainer.should_stop or up
        self._since = self.clock()

    def outcome(self, *, diverged: bool) -> dict[str, Any]:
        """As `benchmarks.peers.course.course` returns it; a fit that diverged reached nothing."""
        training = {}
        for level in LEVELS if not diverged else ():
            above = [number for number, (_, gap) in enumerate(self.course) if not gap <= level]
            first = above[-1] + 1 if above else 0
            if first < len(self.course):
                training[f"{level:g}"] = self.course[first][0]
        return {
            "before": self.before,
            "training": training,
            "seconds": self.seconds,
            "made": self.steps,
            "gap_per_latent": None if diverged else self.course[-1][1],
        }


def gap_measure(problem: str, experiment: Experiment) -> Callable[[], float]:
    """What measures the gap per latent of the guide of an experiment."""
    data, guide = experiment.data, experiment.module.guide
    latents = experiment.model.num_latents(data.cardinalities)
    if problem == "gre":
        exact = gre_posterior(data.values["x"])
        return lambda: gre_gap(guide, data, exact) / latents
    evidence = load_evidence(problem).value

    def measure() -> float:
        # A posterior switches its guide out of training: this one has a copy.
        grounded = Posterior(copy.deepcopy(guide).to(data.like.device), data).guide
        elbo = full_elbo(grounded, data, draws=DRAWS[problem]).mean
        return (evidence - elbo) / latents

    return measure


def config_of(problem: str, guide: str, groups: int, setting: Setting) -> ExperimentConfig:
    """The config of a fit.

    On `gre` PAVI-E draws 20 groups a step; elsewhere, and for PAVI-F, which has to visit every
    row, `pavi` chooses the batch.
    """
    overrides = [
        f"train.learning_rate={setting.rate}",
        "train.network_rate=null",
        f"train.draws={setting.draws}",
        f"train.steps={setting.steps}",
    ]
    if problem == "gre":
        overrides.append(f"problem.groups={groups}")
        if guide == "pavi_f":
            overrides.append("train.batch=null")
        return load(f"configs/gre/{guide}.yaml", overrides)
    if guide == "pavi_e":
        overrides.append("guide.encodings.name=deep_set")
    return load(f"configs/{problem}.yaml", overrides)


def main() -> None:
    """Fit, or search, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("--guide", choices=("pavi_e", "pavi_f"), default="pavi_e")
    parser.add_argument("--groups", type=int, default=300, help="of gre")
    parser.add_argument("--points", type=int, default=40, help="at which gaps are measured")
    add_arguments(parser)
    arguments = parser.parse_args()

    def trial(setting: Setting, clock: Clock, cap: float) -> dict[str, Any]:
        config = config_of(arguments.problem, arguments.guide, arguments.groups, setting)
        experiment = build(config)
        measure = gap_measure(arguments.problem, experiment)
        course = Course(measure, arguments.points, cap, clock)
        with quiet():
            trainer = build_trainer(config, [course], checkpoints=False)
            try:
                trainer.fit(experiment.module, experiment.stream)
            except NonFiniteLossError:
                return course.outcome(diverged=True)
        return course.outcome(diverged=False)

    report(carry_out(arguments, trial))


if __name__ == "__main__":
    main()
